# SPDX-License-Identifier: MIT
"""gunicorn.app.wsgiapp: the application that a command line names."""
import os

from gunicorn import util
from gunicorn.app.base import Application
from gunicorn.errors import ConfigError


class WSGIApplication(Application):
    def init(self, parser, opts, args):
        self.app_uri = None
        if opts.paste:
            from gunicorn.app.pasterapp import has_logging_config

            path = os.path.abspath(opts.paste.split("#")[0])
            if not os.path.exists(path):
                raise ConfigError("%r not found" % path)
            self.cfg.set("default_proc_name", path)
            self.app_uri = opts.paste
            if has_logging_config(path):
                self.cfg.set("logconfig", path)
            return
        if args:
            self.cfg.set("default_proc_name", args[0])
            self.app_uri = args[0]

    def load_config(self):
        super().load_config()
        if self.app_uri is None:
            if self.cfg.wsgi_app is None:
                raise ConfigError("No application module specified.")
            self.app_uri = self.cfg.wsgi_app

    def load_wsgiapp(self):
        return util.import_app(self.app_uri)

    def load_pasteapp(self):
        from gunicorn.app.pasterapp import get_wsgi_app

        return get_wsgi_app(self.app_uri, defaults=self.cfg.paste_global_conf)

    def load(self):
        return self.load_pasteapp() if self.cfg.paste is not None else self.load_wsgiapp()


def run(prog=None):
    """gunicorn's command, of sys.argv."""
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog=prog).run()


if __name__ == "__main__":
    run()
