from sitepackage.base import *  # noqa: F403

workers = 6
