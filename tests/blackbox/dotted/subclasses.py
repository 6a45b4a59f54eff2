# SPDX-License-Identifier: MIT
"""Worker classes written in Python, for the suite to run with:
CGUNICORN="./cgunicorn -k subclasses.Sync" tools/run_blackbox. They override
nothing, so that all which is tested is what they extend."""
import importlib

BASES = {
    "Sync": "gunicorn.workers.sync.SyncWorker",
    "Thread": "gunicorn.workers.gthread.ThreadWorker",
    "Gevent": "gunicorn.workers.ggevent.GeventWorker",
    "Tornado": "gunicorn.workers.gtornado.TornadoWorker",
    "Uvicorn": "uvicorn.workers.UvicornWorker",
}


def __getattr__(name):
    """That class is made when somebody asks: gevent is not there for all."""
    if name not in BASES:
        raise AttributeError(f"{__name__} has no {name}")
    module, _, base = BASES[name].rpartition(".")
    made = type(name, (getattr(importlib.import_module(module), base),),
                {"__module__": __name__})
    globals()[name] = made
    return made
