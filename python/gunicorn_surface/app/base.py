# SPDX-License-Identifier: MIT
"""gunicorn.app.base: applications that configure and start the server."""
import os
import sys
import traceback

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config, get_default_config_file


def _end(text):
    print("\nError: %s" % text, file=sys.stderr)
    sys.stderr.flush()
    sys.exit(1)


class BaseApplication:
    """Override load_config(), which fills self.cfg, and load(), which returns the
    WSGI callable; then run()."""

    def __init__(self, usage=None, prog=None):
        self.usage, self.prog = usage, prog
        self.cfg = self.callable = self.logger = None
        self.do_load_config()

    def do_load_config(self):
        try:
            self.load_default_config()
            self.load_config()
            self.cfg.validate()
        except Exception as e:
            _end(e)

    def load_default_config(self):
        self.cfg = Config(self.usage, prog=self.prog)

    def init(self, parser, opts, args):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError

    def load_config(self):
        raise NotImplementedError

    def reload(self):
        """HUP: the configuration is loaded anew."""
        self.do_load_config()
        if self.cfg.spew:
            from gunicorn import debug

            debug.spew()

    def wsgi(self):
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self):
        try:
            Arbiter(self).run()
        except RuntimeError as e:
            if _is_inside():
                raise
            _end("%s\n" % e)


def _is_inside():
    """Whether the server runs in this process already: it goes on."""
    from _cgunicorn_glue import hooks

    return hooks.serves()


class Application(BaseApplication):
    """One that has a command line and a configuration file, too."""

    goes_to_background = False

    def chdir(self):
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)

    # ---- the file ----

    def get_config_from_filename(self, filename):
        from _cgunicorn_glue.config import read_file

        if not os.path.exists(filename):
            raise RuntimeError("%r doesn't exist" % filename)
        if os.path.splitext(filename)[1] not in (".py", ".pyc"):
            util.warn("configuration file should have a valid Python extension.\n")
        try:
            read_file(filename)
        except Exception:
            print("Failed to read config file: %s" % filename, file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            sys.exit(1)
        return vars(sys.modules["__config__"])

    def get_config_from_module_name(self, module_name):
        __import__(module_name)
        return vars(sys.modules[module_name])

    def load_config_from_module_name_or_filename(self, location):
        if location.startswith("python:"):
            values = self.get_config_from_module_name(location[7:])
        else:
            name = location[5:] if location.startswith("file:") else location
            values = self.get_config_from_filename(name)
        for name, value in values.items():
            if name in self.cfg.settings:
                self._set(name, value)
        return values

    def _set(self, name, value):
        try:
            self.cfg.set(name.lower(), value)
        except Exception:
            print("Invalid value for %s: %s\n" % (name, value), file=sys.stderr)
            sys.stderr.flush()
            raise

    def load_config_from_file(self, filename):
        return self.load_config_from_module_name_or_filename(location=filename)

    # ---- all of it ----

    def _set_options(self, options):
        for name, value in vars(options).items():
            if value is not None and name != "args":
                self.cfg.set(name.lower(), value)

    def load_config(self):
        parser = self.cfg.parser()
        args = parser.parse_args()
        own = self.init(parser, args, args.args)
        self.chdir()
        for name, value in (own or {}).items():
            self._set(name, value)
        env_args = parser.parse_args(self.cfg.get_cmd_args_from_env())
        location = args.config or env_args.config or get_default_config_file()
        if location:
            self.load_config_from_file(location)
        self._set_options(env_args)
        self._set_options(args)
        self.chdir()

    def _check(self):
        try:
            self.load()
        except Exception:
            print("\nError while loading the application:\n", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            sys.exit(1)
        sys.exit(0)

    def run(self):
        if self.cfg.print_config:
            print(self.cfg)
        if self.cfg.print_config or self.cfg.check_config:
            self._check()
        if self.cfg.spew:
            from gunicorn import debug

            debug.spew()
        self.goes_to_background = self.cfg.daemon
        for path in (self.cfg.pythonpath or "").split(","):
            if path and os.path.abspath(path) not in sys.path:
                sys.path.insert(0, os.path.abspath(path))
        super().run()
