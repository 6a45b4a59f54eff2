# Names that are no settings, though they sound like some.
import os
import shutil as log

host = "0.0.0.0"
port = 8000
Workers = 9
WORKERS = 8
env = "prod"
path = os.getcwd()
address = "%s:%d" % (host, port)
bind = address
