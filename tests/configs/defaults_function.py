# A package that writes settings into the file's own names.
from sitepackage import set_gunicorn_defaults

set_gunicorn_defaults(globals())
timeout = 45
