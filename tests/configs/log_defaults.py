from gunicorn.glogging import CONFIG_DEFAULTS

logconfig_dict = dict(CONFIG_DEFAULTS)
logconfig_dict = {"version": logconfig_dict["version"], "formatters": {}}
timeout = 15
