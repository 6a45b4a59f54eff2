"""Stands in for a client of a monitoring system."""


def mark_process_dead(pid):
    pass


def start_http_server(port):
    pass


def gauge(value):
    pass


def trace(**attributes):
    pass


def on_post_fork(server, worker):
    pass


def on_ready(server):
    pass
