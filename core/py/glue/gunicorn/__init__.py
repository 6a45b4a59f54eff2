"""A minimal `gunicorn` for configuration files that import it.

An installed gunicorn always wins; this one answers what real files ask for.
"""
version_info = (27, 0, 1)
__version__ = "27.0.1"
SERVER = "gunicorn"
SERVER_SOFTWARE = "%s/%s" % (SERVER, __version__)
