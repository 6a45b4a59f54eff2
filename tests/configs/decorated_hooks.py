import functools


def quiet(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        try:
            return f(*args, **kwargs)
        except OSError:
            return None
    return inner


@quiet
def post_fork(server, worker):
    pass



class Ready:
    def __call__(self, server):
        pass

    def starting(self, server):
        pass


on_starting = Ready().starting
