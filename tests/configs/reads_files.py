# Values from a small file beside this one.
import configparser
import os

here = os.path.dirname(os.path.abspath(__file__))
parser = configparser.ConfigParser()
parser.read(os.path.join(here, "modules", "shop.ini"))
workers = parser.getint("web", "workers")
bind = parser["web"]["bind"]
