# env: DJANGO_LOG_LEVEL=INFO
import os

loglevel = os.environ["DJANGO_LOG_LEVEL"].lower()
capture_output = True
enable_stdio_inheritance = True
errorlog = "-"
disable_redirect_access_to_syslog = True
