# SPDX-License-Identifier: MIT
"""gunicorn.app.pasterapp: applications of PasteDeploy's files, and the server of
`pserve` ([server:main] use = egg:cgunicorn#main)."""
import configparser

from _cgunicorn_glue.paste import get_wsgi_app  # noqa: F401
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import get_default_config_file


def has_logging_config(config_file):
    parser = configparser.ConfigParser()
    parser.read([config_file])
    return parser.has_section("loggers")


def _bind(local):
    """`host` and `port` of the section, as gunicorn's `bind`."""
    host, port = local.pop("host", ""), local.pop("port", "")
    if host and port:
        return "%s:%s" % (host, port)
    return host.split(",") if host else None


def serve(app, global_conf, **local_conf):
    """Entry point of the group paste.server_runner: serves app for ever."""
    local = dict(local_conf)
    bind = _bind(local)
    config_file = local.pop("config", None) or get_default_config_file()

    class PasterServerApplication(WSGIApplication):
        def load_config(self):
            self.app_uri = None
            self.cfg.set("default_proc_name", global_conf.get("__file__"))
            if has_logging_config(global_conf.get("__file__") or ""):
                self.cfg.set("logconfig", global_conf["__file__"])
            if config_file:
                self.load_config_from_file(config_file)
            if bind:
                self.cfg.set("bind", bind)
            for name, value in local.items():
                if value is not None:
                    self.cfg.set(name.lower(), value)

        def load(self):
            return app

    application = PasterServerApplication()
    application.chdir()
    application.run()
