# SPDX-License-Identifier: MIT
"""One application per path. Those of `conforming` run inside
wsgiref.validate.validator, which checks both sides of PEP 3333."""
import hashlib
import io
import json
import os
import sys
import threading
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
closed = {}  # name -> how often close() of that iterable was called
seen = {}  # what applications noticed, for /seen


def reply(start_response, body, status="200 OK", kind="text/plain"):
    start_response(status, [("Content-Type", kind),
                            ("Content-Length", str(len(body)))])
    return [body]


def as_json(start_response, what):
    body = json.dumps(what).encode()
    return reply(start_response, body, kind="application/json")


class Counted:
    """An iterable that counts calls of its close()."""

    def __init__(self, name, items):
        self.name = name
        self.items = iter(items)
        closed[name] = 0

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def close(self):
        closed[self.name] += 1


# ---- what the application is told ----


def environ_(environ, start_response):
    shown = {}
    for key, value in environ.items():
        plain = isinstance(value, (str, int, bool, type(None)))
        shown[key] = value if plain else {"type": type(value).__name__}
    shown["wsgi.version"] = list(environ["wsgi.version"])
    shown["is dict"] = type(environ) is dict
    shown["version is tuple"] = type(environ["wsgi.version"]) is tuple
    return as_json(start_response, shown)


def environ_is_fresh(environ, start_response):
    old = environ.get("shop.mark")
    environ["shop.mark"] = "left over"
    environ["PATH_INFO"] = "/changed"
    return as_json(start_response, {"old": old})


def errors(environ, start_response):
    stream = environ["wsgi.errors"]
    stream.write("one line: \u00e9\u2603\n")
    stream.writelines(["two ", "parts\n"])
    stream.flush()
    return reply(start_response, b"written")


# ---- the request's body ----


def digest(environ, start_response):
    """Reads in steps of `query` bytes, or all at once."""
    step = int(environ["QUERY_STRING"] or -1)
    source = environ["wsgi.input"]
    total, size = hashlib.sha256(), 0
    while True:
        data = source.read(step)
        if not data:
            break
        assert type(data) is bytes
        total.update(data)
        size += len(data)
    assert source.read(step) == b"", "the end has to stay the end"
    return as_json(start_response, {"size": size, "sha": total.hexdigest()})


def unread(environ, start_response):
    return reply(start_response, b"not read")


def half(environ, start_response):
    n = int(environ["QUERY_STRING"])
    return reply(start_response, environ["wsgi.input"].read(n))


def input_methods(environ, start_response):
    """Runs the calls given in the query, such as readline.5,read.3."""
    out = []
    source = environ["wsgi.input"]
    for call in environ["QUERY_STRING"].split(","):
        name, *args = call.split(".")
        if name == "iter":
            value = list(source)
        elif name == "next":
            value = next(iter(source))
        else:
            value = getattr(source, name)(*[int(a) for a in args])
        lines = value if isinstance(value, list) else [value]
        assert all(type(x) is bytes for x in lines), lines
        shown = [x.decode("latin-1") for x in lines]
        out.append(shown if isinstance(value, list) else shown[0])
    return as_json(start_response, out)


def raising_input(environ, start_response):
    try:
        data = environ["wsgi.input"].read()
    except Exception as e:
        seen["input error"] = [c.__name__ for c in type(e).__mro__]
        return reply(start_response, b"input error", "400 Bad Request")
    return reply(start_response, b"read %d" % len(data))


# ---- replies that conform ----


def one(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one item"]


def several(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"first,", b"", b"second,", b"third"]


def generator(environ, start_response):
    start_response("200 OK", TEXT)
    for i in range(3):
        yield b"part %d\n" % i


def lazy(environ, start_response):
    """start_response is called at the first step of the iteration."""
    def body():
        start_response("200 OK", TEXT)
        yield b"lazy"
    return body()


def nothing(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def only_empty(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"", b""]


def writing(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"written,")
    write(b"")
    write(b"twice,")
    return [b"returned"]


def writing_only(environ, start_response):
    start_response("200 OK", TEXT)(b"written")
    return []


def cookies(environ, start_response):
    start_response("200 OK", TEXT + [
        ("Set-Cookie", "a=1"), ("X-Between", "y"), ("Set-Cookie", "b=2"),
        ("Set-Cookie", "c=caf\xe9"), ("X-Padded", "  in the middle  ")])
    return [b"cookies"]


def own_fields(environ, start_response):
    start_response("200 OK", TEXT + [
        ("Server", "mine"), ("Date", "yesterday"),
        ("X-Kept", "kept")])
    return [b"own"]


def status(environ, start_response):
    code = environ["QUERY_STRING"]
    fields = [] if code in ("204", "304") else TEXT
    start_response(code + " Of Mine", fields)
    return [] if code in ("204", "304") else [b"status"]


def error_replaced(environ, start_response):
    start_response("200 OK", TEXT + [("X-First", "1")])
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    return [b"sorry"]


def closing(environ, start_response):
    start_response("200 OK", TEXT)
    return Counted("closing", [b"a", b"b"])


def closing_length(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "2")])
    return Counted("closing_length", [b"a", b"b"])


def big(environ, start_response):
    start_response("200 OK", TEXT)
    size = int(environ["QUERY_STRING"])
    return (b"x" * min(65536, size - at) for at in range(0, size, 65536))


def slow_reader(environ, start_response):
    """Endless until the client is gone; tells through closed."""
    def endless():
        while True:
            yield b"z" * 65536
    start_response("200 OK", TEXT)
    return Counted("slow_reader", endless())


def threads(environ, start_response):
    return as_json(start_response, {
        "thread": threading.current_thread() is threading.main_thread(),
        "pid": os.getpid()})


def show_closed(environ, start_response):
    return as_json(start_response, closed)


def show_seen(environ, start_response):
    return as_json(start_response, seen)


# ---- replies that break a rule ----


def raising(environ, start_response):
    raise ZeroDivisionError("before the headers")


def raising_after_start(environ, start_response):
    start_response("200 OK", TEXT + [("X-Lost", "1")])
    raise ZeroDivisionError("headers not sent yet")


def raising_first(environ, start_response):
    def body():
        raise ZeroDivisionError("at the first step")
        yield b""
    start_response("200 OK", TEXT)
    return Counted("raising_first", body())


def raising_after_empty(environ, start_response):
    def body():
        yield b""
        raise ZeroDivisionError("after an empty item")
    start_response("200 OK", TEXT)
    return body()


def raising_later(environ, start_response):
    def body():
        yield b"sent"
        raise ZeroDivisionError("after the headers")
    start_response("200 OK", TEXT)
    return Counted("raising_later", body())


def raising_later_length(environ, start_response):
    def body():
        yield b"sent"
        raise ZeroDivisionError("after the headers, with a length")
    start_response("200 OK", TEXT + [("Content-Length", "100")])
    return Counted("raising_later_length", body())


def raising_close(environ, start_response):
    class Body(Counted):
        def close(self):
            super().close()
            raise ZeroDivisionError("in close")
    start_response("200 OK", TEXT)
    return Body("raising_close", [b"complete"])


def exiting(environ, start_response):
    sys.exit(int(environ["QUERY_STRING"] or 0))


def interrupting(environ, start_response):
    raise KeyboardInterrupt


def twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("201 Created", TEXT)
    return [b"twice"]


def exc_info_after_headers(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"sent"
    try:
        raise ZeroDivisionError("raised again")
    except ZeroDivisionError:
        start_response("500 Oops", TEXT, sys.exc_info())
    yield b"never"


def never_started(environ, start_response):
    return [b"no start_response"]


def none(environ, start_response):
    start_response("200 OK", TEXT)


def item(environ, start_response):
    start_response("200 OK", TEXT)
    return [{"str": "text", "int": 1, "none": None,
             "bytearray": bytearray(b"b"),
             "list": [b"x"]}[environ["QUERY_STRING"]]]


def item_later(environ, start_response):
    start_response("200 OK", TEXT)
    return Counted("item_later", [b"good", "bad"])


def written_str(environ, start_response):
    start_response("200 OK", TEXT)("text")
    return []


FIELDS = {
    "value-crlf": ("X-A", "a\r\nX-Evil: 1"), "value-lf": ("X-A", "a\nb"),
    "value-cr": ("X-A", "a\rb"), "value-nul": ("X-A", "a\0b"),
    "value-del": ("X-A", "a\x7fb"), "value-snowman": ("X-A", "\u2603"),
    "name-crlf": ("X-A\r\nX-Evil", "1"), "name-colon": ("X-A:", "1"),
    "name-space": ("X A", "1"), "name-empty": ("", "1"),
    "name-bytes": (b"X-A", "1"), "value-bytes": ("X-A", b"1"),
    "value-int": ("X-A", 1), "triple": ("X-A", "1", "2"),
}


def field(environ, start_response):
    start_response("200 OK", TEXT + [FIELDS[environ["QUERY_STRING"]]])
    return [b"field"]


STATUSES = {
    "crlf": "200 OK\r\nX-Evil: 1", "lf": "200 OK\nX-Evil: 1",
    "bytes": b"200 OK", "int": 200, "none": None, "word": "abc def",
    "four": "2000 OK", "two": "20 OK", "snowman": "200 \u2603",
    "interim": "100 Continue",
}


def bad_status(environ, start_response):
    start_response(STATUSES[environ["QUERY_STRING"]], TEXT)
    return [b"bad status"]


def bare_status(environ, start_response):
    start_response("200", TEXT)
    return [b"bare"]


def length(environ, start_response):
    """/length?CLAIMED.ACTUAL"""
    claimed, actual = environ["QUERY_STRING"].split(".")
    start_response("200 OK", TEXT + [("Content-Length", claimed)])
    return Counted("length", [b"x" * int(actual)])


def two_lengths(environ, start_response):
    start_response("200 OK", [("Content-Length", "3"),
                              ("Content-Length", "5")])
    return [b"12345"]


def own_chunked(environ, start_response):
    start_response("200 OK", TEXT + [("Transfer-Encoding", "chunked")])
    return [b"3\r\nabc\r\n0\r\n\r\n"]


def own_close(environ, start_response):
    start_response("200 OK", TEXT + [("Connection", "close")])
    return [b"bye"]


def body_in_spite(environ, start_response):
    """A body where there must not be one."""
    start_response(environ["QUERY_STRING"] + " Nothing", TEXT)
    return Counted("body_in_spite", [b"must not be sent"])


# ---- files ----

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "file.bin")


def write_file():
    with open(FILE, "wb") as f:
        f.write(bytes(range(256)) * 1024)


class NoFileno:
    def __init__(self, data):
        self.data = io.BytesIO(data)

    def read(self, n=-1):
        return self.data.read(n)

    def close(self):
        closed["NoFileno"] = closed.get("NoFileno", 0) + 1


def file_(environ, start_response):
    f = open(FILE, "rb")
    fields = TEXT[:]
    for part in environ["QUERY_STRING"].split("&"):
        name, _, value = part.partition("=")
        if name == "offset":
            f.seek(int(value))
        elif name == "length":
            fields.append(("Content-Length", value))
    start_response("200 OK", fields)
    seen["file"] = f
    return environ["wsgi.file_wrapper"](f, 32768)


def file_closed(environ, start_response):
    return as_json(start_response, seen["file"].closed)


def file_without_fileno(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](NoFileno(b"from memory" * 1000))


def file_iterated(environ, start_response):
    """The wrapper used by hand, as middleware does."""
    start_response("200 OK", TEXT)
    return [b"".join(environ["wsgi.file_wrapper"](open(FILE, "rb")))]


def file_taken(environ, start_response):
    """A wrapper whose file somebody took away."""
    wrapper = environ["wsgi.file_wrapper"](open(FILE, "rb"))
    wrapper.filelike.close()
    del wrapper.filelike
    raised = []
    for call in (wrapper.close, lambda: next(wrapper), lambda: wrapper[0]):
        try:
            call()
        except AttributeError as e:
            raised.append(str(e))
    return as_json(start_response, raised)


HINTS = {
    "": [("Link", "</style.css>; rel=preload")],
    "late": [("Link", "</style.css>; rel=preload")],
    "twice": [(b"Link", b"</style.css>; rel=preload")],
    "name": [("X-A\r\nX-Evil", "1")], "value": [("X-A", "a\r\nX-Evil: 1")],
    "framing": [("Content-Length", "5"), ("Transfer-Encoding", "chunked"),
                ("Connection", "close"), ("X-Kept", "1")],
}


def early_hints(environ, start_response):
    query = environ["QUERY_STRING"]
    send = environ["wsgi.early_hints"]
    if query == "late":
        start_response("200 OK", TEXT)(b"first,")
        send(HINTS[query])
        return [b"hinted"]
    try:
        send(HINTS[query])
    except ValueError as e:
        return reply(start_response, type(e).__name__.encode())
    if query == "twice":
        send([("Link", "</late.css>")])
    return reply(start_response, b"after hints")


conforming = [
    environ_, environ_is_fresh, errors, digest, unread, half, input_methods,
    one, several, generator, lazy, nothing, only_empty, writing,
    writing_only, cookies, own_fields, status, error_replaced, closing,
    closing_length, big, threads, show_closed, show_seen,
]
breaking = [
    slow_reader, raising_input, raising, raising_after_start, raising_first,
    raising_after_empty, raising_later, raising_later_length, raising_close,
    exiting, interrupting, twice, exc_info_after_headers, never_started,
    none, item, item_later, written_str, field, bad_status, bare_status,
    length, two_lengths, own_chunked, own_close, body_in_spite, file_,
    file_closed, file_without_fileno, file_iterated, file_taken,
    early_hints,
]
plain = {f.__name__.rstrip("_"): f for f in conforming + breaking}
routes = dict(plain)
routes.update({f.__name__.rstrip("_"): validator(f) for f in conforming})
write_file()


def first(path):
    """The route of /plain/x is x without the validator."""
    parts = path.strip("/").split("/")
    table = plain if parts[0] == "plain" else routes
    return table.get(parts[1] if parts[0] == "plain" else parts[0])


def app(environ, start_response):
    found = first(environ["PATH_INFO"])
    if found is None:
        return reply(start_response, b"no such route", "404 Not Found")
    return found(environ, start_response)
