"""Names of gunicorn.app.base that configuration files and applications import."""


class BaseApplication:
    def __init__(self, usage=None, prog=None):
        self.usage, self.prog, self.cfg, self.callable = usage, prog, None, None

    def load(self):
        raise NotImplementedError

    def wsgi(self):
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self):
        """An application that embeds gunicorn: here the server is there already."""
        raise RuntimeError(
            "%s.run() cannot start a server inside cgunicorn: name the WSGI callable on "
            "the command line (cgunicorn module:callable), and its options in a "
            "configuration file" % type(self).__name__)


class Application(BaseApplication):
    pass
