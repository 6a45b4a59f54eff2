# SPDX-License-Identifier: MIT
"""One application per path, for classes that run requests in greenlets.

A path that waits looks for a file in the server's folder again and again, so
that a test says by making that file when to go on.
"""
import contextvars
import os
import threading
import time

TEXT = [("Content-Type", "text/plain")]
barrier = threading.Barrier(int(os.environ.get("BARRIER", "10")))
colour = contextvars.ContextVar("colour", default="none")
made_early = threading.RLock()
inside = most = 0
told = []


def reply(start_response, body):
    start_response("200 OK", TEXT + [("Content-Length", str(len(body)))])
    return [body]


def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)


def note(name):
    with open(name, "a") as f:
        f.write("x")


def together(environ, start_response):
    """Answers once as many requests as the barrier wants are inside."""
    barrier.wait()
    return reply(start_response, b"together")


def waiting(environ, start_response):
    global inside, most
    inside += 1
    most = max(most, inside)
    note("began")
    try:
        wait_for("go")
    finally:
        inside -= 1
        note("ended")
    return reply(start_response, b"most %d" % most)


def long(environ, start_response):
    note("began")
    time.sleep(float(environ["QUERY_STRING"]))
    return reply(start_response, b"long")


def stream(environ, start_response):
    """A part that no socket takes at once, a wait, another part."""
    start_response("200 OK", TEXT)
    yield b"a" * int(environ["QUERY_STRING"])
    wait_for("go")
    yield b"end"


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    for _ in range(200):
        write(b"w" * 65536)
    return [b"end"]


def blocking(environ, start_response):
    """Blocks the thread, and so the loop, until the file is there."""
    note("began")
    while not os.path.exists("go"):
        pass
    return reply(start_response, b"blocked")


def spinning(environ, start_response):
    while True:
        pass


def reading(environ, start_response):
    note("began")
    return reply(start_response, environ["wsgi.input"].read())


def reading_elsewhere(environ, start_response):
    """A body that another greenlet reads."""
    parts = []
    reader = threading.Thread(
        target=lambda: parts.extend(environ["wsgi.input"]))
    reader.start()
    note("began")
    reader.join()
    return reply(start_response, b"".join(parts))


def reading_too_late(environ, start_response):
    """A body that another greenlet still reads when the request is over."""
    def read():
        try:
            note("began")
            environ["wsgi.input"].read()
        except ValueError:
            note("told")
    threading.Thread(target=read).start()
    wait_for("go")
    return reply(start_response, b"left")


def pid(environ, start_response):
    return reply(start_response, b"%d" % os.getpid())


def colours(environ, start_response):
    old = colour.get()
    colour.set("red")
    if environ["QUERY_STRING"]:
        time.sleep(0.01)
    return reply(start_response, old.encode())


def kind(environ, start_response):
    from greenlet import getcurrent
    names = [c.__name__ for c in type(getcurrent()).__mro__]
    return reply(start_response, " ".join(names).encode())


def background(environ, start_response):
    def later():
        wait_for("go")
        note("background")
    threading.Thread(target=later).start()  # a greenlet, since patched
    return reply(start_response, b"started")


def early_lock(environ, start_response):
    """A lock of the module's import keeps greenlets apart."""
    with made_early:
        barrier.wait() if environ["QUERY_STRING"] else time.sleep(0.01)
    return reply(start_response, b"locked")


def forking(environ, start_response):
    child = os.fork()
    if child == 0:
        os._exit(7)
    status = os.waitpid(child, 0)[1]
    return reply(start_response, b"child %d" % os.WEXITSTATUS(status))


def forking_child_returns(environ, start_response):
    child = os.fork()
    if child == 0:
        return reply(start_response, b"from the child")
    os.waitpid(child, 0)
    return reply(start_response, b"from the parent")


def multiprocess(environ, start_response):
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(
        target=note, args=("process",))
    process.start()
    process.join()
    return reply(start_response, b"exit %d" % process.exitcode)


def fetcher(client):
    if client == "requests":
        import requests
        return lambda url: requests.get(url).content
    from urllib.request import urlopen
    return lambda url: urlopen(url).read()


def fetch_many(environ, start_response):
    """CLIENT,NUMBER,URL: so many fetches, each in a greenlet of its own."""
    client, number, url = environ["QUERY_STRING"].split(",")
    fetch = fetcher(client)
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(url)))
               for _ in range(int(number))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reply(start_response, b"%d" % found.count(b"together"))


def socket_echo(environ, start_response):
    """Takes the connection over, as WebSocket libraries do."""
    sock = environ["gunicorn.socket"]
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                 b"Connection: Upgrade\r\n\r\n")
    while True:
        data = sock.recv(100)
        if not data or data.endswith(b"bye"):
            raise StopIteration
        sock.sendall(data.upper())


def app(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
