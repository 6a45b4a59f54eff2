class Worker:
    pass
