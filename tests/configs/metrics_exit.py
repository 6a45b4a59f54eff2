# Each worker that ends is told to the collector.
import collector

bind = "0.0.0.0:9000"
workers = 2


def child_exit(server, worker):
    collector.mark_process_dead(worker.pid)
