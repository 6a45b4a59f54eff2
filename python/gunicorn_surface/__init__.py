# SPDX-License-Identifier: MIT
"""The package `gunicorn` of an environment that has none, for programs that
import it inside this server. An installed one always wins.
"""
version_info = (27, 0, 1)
__version__ = ".".join(map(str, version_info))
SERVER = "gunicorn"
SERVER_SOFTWARE = "%s/%s" % (SERVER, __version__)
