# env: STAGE=staging
import os

STAGES = {
    "dev": {"workers": 1, "reload": True},
    "staging": {"workers": 2, "timeout": 60},
    "prod": {"workers": 8, "timeout": 30, "preload_app": True},
}
globals().update(STAGES[os.environ["STAGE"]])
