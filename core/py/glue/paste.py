# SPDX-License-Identifier: MIT
"""Applications that PasteDeploy loads: config:FILE.ini#SECTION, egg:PACKAGE#NAME."""
import os


def is_uri(spec):
    """Whether PasteDeploy is meant, not a module and an object of it."""
    scheme, _, rest = spec.partition(":")
    return scheme in ("config", "egg") and any(c in rest for c in "./#")


def get_wsgi_app(config_uri, name=None, defaults=None):
    try:
        from paste.deploy import loadapp
    except ImportError as e:
        raise ImportError("%s needs the package PasteDeploy: pip install PasteDeploy (%s)"
                          % (config_uri, e)) from e
    uri = config_uri if ":" in config_uri.split("#")[0] else "config:" + config_uri
    return loadapp(uri, name=name, relative_to=os.getcwd(), global_conf=defaults)
