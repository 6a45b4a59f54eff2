# env: GUNICORN_WORKERS=7 GUNICORN_TIMEOUT=33 GUNICORN_BIND=0.0.0.0:8123
# Every variable with the prefix is a setting.
import os

for key, value in os.environ.items():
    if key.startswith("GUNICORN_") and key != "GUNICORN_CMD_ARGS":
        locals()[key.split("_", 1)[1].lower()] = value
