# env: DEBUG=1
import os

debug = bool(os.environ.get("DEBUG"))
reload = debug
reload_engine = "poll"
spew = False
loglevel = "debug" if debug else "warning"
timeout = 0 if debug else 30
workers = 1 if debug else 4
