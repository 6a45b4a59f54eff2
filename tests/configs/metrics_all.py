import os

import collector

os.environ.setdefault("COLLECTOR_DIR", "/tmp")


def when_ready(server):
    collector.start_http_server(9100)


def child_exit(server, worker):
    collector.mark_process_dead(worker.pid)


def nworkers_changed(server, new_value, old_value):
    collector.gauge(new_value)
