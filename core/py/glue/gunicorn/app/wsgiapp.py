"""Names of gunicorn.app.wsgiapp that configuration files import."""
from gunicorn.app.base import Application


class WSGIApplication(Application):
    pass
