# env: LOG_LEVEL=INFO
import os

level = os.environ.get("LOG_LEVEL", "WARNING")
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"format": "%(message)s"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json",
                    "stream": "ext://sys.stdout"},
    },
    "root": {"level": level, "handlers": ["console"]},
    "loggers": {"gunicorn.access": {"level": level, "propagate": True}},
}
