when_ready = lambda server: open("/dev/null").close()  # noqa: E731
child_exit = lambda server, worker: None  # noqa: E731
post_request = lambda worker, req, environ: None  # noqa: E731
