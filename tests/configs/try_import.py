try:
    from sitepackage.local import bind, workers
except ImportError:
    bind = "127.0.0.1:8002"
    workers = 2
try:
    import nothing_of_this_name
except ImportError:
    nothing_of_this_name = None
threads = 2
