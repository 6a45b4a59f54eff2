# env: GUNICORN_ACCESS_LOGFILE=- PANEL_LIMITS={"line":8190,"fields":32768}
import json
from os import environ

limits = json.loads(environ.get("PANEL_LIMITS", "{}"))
accesslog = environ["GUNICORN_ACCESS_LOGFILE"]
limit_request_line = limits["line"]
limit_request_fields = limits["fields"]
