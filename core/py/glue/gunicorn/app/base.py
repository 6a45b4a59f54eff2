"""Names of gunicorn.app.base that configuration files import."""


class BaseApplication:
    def __init__(self, usage=None, prog=None):
        self.usage, self.prog, self.cfg, self.callable = usage, prog, None, None


class Application(BaseApplication):
    pass
