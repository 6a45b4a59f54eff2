# SPDX-License-Identifier: MIT
"""An application that uses what the server gives it in every wrong way: its
objects call back, change what is read, and outlive their request. Each path is
one attack; what it answers with is what happened, as text."""
import io
import os
import sys
import threading
import time

KEPT = {}      # of an earlier request
THREADS = []   # of earlier requests
FOUND = []     # what they met
PLAIN = [("Content-Type", "text/plain")]


def tell(environ, start_response, *said):
    body = " ".join(str(s) for s in said).encode()
    start_response("200 OK", PLAIN + [("Content-Length", str(len(body)))])
    return [body]


def outcome(call, *args, **kw):
    """What a call comes to, in one word."""
    try:
        return call(*args, **kw)
    except BaseException as e:
        return type(e).__name__


def spawn(f, *args):
    def body():
        FOUND.append(outcome(f, *args))
    t = threading.Thread(target=body, daemon=True)
    THREADS.append(t)
    t.start()
    return t


def ok(environ, start_response):
    return tell(environ, start_response, os.getpid())


def joined(environ, start_response):
    """What the threads of earlier requests met."""
    go = KEPT.get("go")
    if go is not None:
        go.set()
    while THREADS:
        THREADS.pop().join(30)
    found = [str(f) for f in FOUND]
    del FOUND[:]
    return tell(environ, start_response, *found)


# ---- start_response ----


def keep(environ, start_response):
    KEPT["environ"] = environ
    KEPT["start_response"] = start_response
    KEPT["input"] = environ["wsgi.input"]
    KEPT["hints"] = environ["wsgi.early_hints"]
    KEPT["socket"] = environ["gunicorn.socket"]
    start = start_response
    body = b"kept"
    KEPT["write"] = start("200 OK", [("Content-Length", "4")])
    return [body]


def use_kept(environ, start_response):
    k = KEPT
    said = [outcome(k["start_response"], "200 OK", []),
            outcome(k["start_response"], "200 OK", [], (1, 2, 3)),
            outcome(k["write"], b"x" * 100000),
            outcome(k["input"].read), outcome(k["input"].readline),
            outcome(k["input"].readlines), outcome(next, k["input"], "end"),
            outcome(k["hints"], [("Link", "x")]),
            outcome(getattr, k["socket"], "fileno")]
    return tell(environ, start_response, *said)


def twice(environ, start_response):
    start_response("200 OK", [])
    return tell(environ, lambda *a: None, outcome(start_response, "200 OK", []))


def nested_generator(environ, start_response):
    """The iterable of fields begins and sends a reply itself."""
    def fields():
        write = start_response("200 OK", PLAIN)
        write(b"inner ")
        yield ("X-Late", "1")
    said = outcome(start_response, "404 Not Found", fields())
    return [f"outer {said}".encode()]


def nested_item(environ, start_response):
    """So does one field."""
    class Pair(list):
        def __iter__(self):
            write = start_response("200 OK", PLAIN)
            write(b"inner ")
            return iter(("X-Late", "1"))
    said = outcome(start_response, "404 Not Found", [Pair()])
    return [f"outer {said}".encode()]


def shrinking_list(environ, start_response):
    fields = [("X-Number", str(i)) for i in range(100)]

    class Pair(list):
        def __iter__(self):
            fields.clear()
            return iter(("X-Pair", "1"))
    fields.insert(0, Pair())
    said = outcome(start_response, "200 OK", fields)
    start_response("200 OK", PLAIN, exc_info())
    return [f"{said is not None}".encode()]


def growing_list(environ, start_response):
    fields = []

    class Pair(list):
        def __iter__(self):
            if len(fields) < 200:
                fields.append(Pair())
            return iter(("X-Pair", "1"))
    fields.append(Pair())
    said = outcome(start_response, "200 OK", fields)
    start_response("200 OK", PLAIN, exc_info())
    return [b"callable" if callable(said) else str(said).encode()]


def exc_info():
    try:
        raise ValueError("told")
    except ValueError:
        return sys.exc_info()


def talking_name(environ, start_response):
    """What is shown of a fault answers by a reply."""
    class Name(str):
        def __repr__(self):
            start_response("200 OK", PLAIN, exc_info())(b"inner ")
            return "name"
    said = outcome(start_response, "404 Not Found", [(Name("bad name"), "1")])
    return [f"outer {said}".encode()]


def talking_status(environ, start_response):
    class Status(str):
        def __repr__(self):
            start_response("200 OK", PLAIN, exc_info())(b"inner ")
            return "status"
    said = outcome(start_response, Status("no status"), [])
    return [f"outer {said}".encode()]


def talking_value(environ, start_response):
    class Value(str):
        def __repr__(self):
            fields.clear()
            start_response("200 OK", PLAIN, exc_info())(b"inner ")
            return "value"
    fields = [["X-Bad", Value("\u20ac" * 100)]]
    said = outcome(start_response, "404 Not Found", fields)
    return [f"outer {said}".encode()]


def no_exception(environ, start_response):
    """exc_info that is none, with a traceback that is one."""
    tb = exc_info()[2]
    start_response("200 OK", PLAIN)(b"head ")
    said = [outcome(start_response, "500 Oops", [], info)
            for info in [(int, 5, tb), (None, None, tb), (str, "x", tb),
                         (ValueError, ValueError, tb), (1, 2, 3), (1,), 5,
                         (object, object(), tb)]]
    return [" ".join(str(s) for s in said).encode()]


def words_of_call(environ, start_response):
    said = [outcome(start_response), outcome(start_response, "200 OK"),
            outcome(start_response, status="200 OK"),
            outcome(start_response, 1, 2, 3, 4),
            outcome(start_response, "200 OK", [], status="x"),
            outcome(start_response, "200 OK", [], nonsense=1),
            outcome(start_response, b"200 OK", []),
            outcome(start_response, "200 OK", None),
            outcome(start_response, "200 OK", [None]),
            outcome(start_response, "200 OK", [("a",)]),
            outcome(start_response, "200 OK", [("a", "b", "c")]),
            outcome(start_response, "200 OK", [(b"a", "b")]),
            outcome(start_response, "\u20ac", [])]
    return tell(environ, start_response, *said)


def outliving_generator(environ, start_response):
    """Fields that come when the request is over."""
    started, go = threading.Event(), threading.Event()
    KEPT["go"] = go

    def fields():
        yield ("X-Early", "1")
        started.set()
        go.wait(30)
        yield ("X-Late", "1")
    spawn(start_response, "404 Not Found", fields())
    started.wait(30)
    start_response("200 OK", PLAIN, exc_info())
    return [b"over"]


def outliving_name(environ, start_response):
    """What is shown of a fault is asked for when the request is over."""
    started, go = threading.Event(), threading.Event()
    KEPT["go"] = go

    class Name(str):
        def __repr__(self):
            started.set()
            go.wait(30)
            return "name"
    spawn(start_response, "404 Not Found", [(Name("bad name"), "1")])
    started.wait(30)
    start_response("200 OK", PLAIN, exc_info())
    return [b"over"]


def many_starts(environ, start_response):
    def start(i):
        for n in range(50):
            outcome(start_response, "200 OK",
                    (("X-A", str(k)) for k in range(20)), exc_info())
        return "done"
    threads = [spawn(start, i) for i in range(4)]
    for t in threads:
        t.join(30)
    del FOUND[:]
    start_response("200 OK", PLAIN, exc_info())
    return [b"done"]


# ---- write and the iterable ----


def write_from_thread(environ, start_response):
    """It goes on when the request is over."""
    write = start_response("200 OK", PLAIN)
    go = KEPT["go"] = threading.Event()

    def body():
        go.wait(30)
        for _ in range(20):
            write(b"x" * 100000)
        return "wrote"
    spawn(body)
    return [b"over"]


def writers(environ, start_response):
    """Several at once, with more than the client takes, and the request ends in
    the midst of it."""
    write = start_response("200 OK", PLAIN)
    started = threading.Event()

    def body(c):
        for _ in range(40):
            write(c * 200000)
            started.set()
        return "wrote"
    for c in (b"a", b"b", b"c"):
        spawn(body, c)
    started.wait(30)
    return [b"end"]


class Dying(bytes):
    """Its end sends something."""
    write = None

    def __del__(self):
        if Dying.write is not None:
            FOUND.append(outcome(Dying.write, b"y" * 70000))


def dying_bytes(environ, start_response):
    Dying.write = start_response("200 OK", PLAIN)
    for _ in range(30):
        Dying.write(Dying(b"x" * 300000))
    Dying.write = None
    del FOUND[:]
    return [b"end"]


def dying_items(environ, start_response):
    Dying.write = start_response("200 OK", PLAIN)

    def items():
        for _ in range(30):
            yield Dying(b"x" * 300000)
        Dying.write = None
    del FOUND[:]
    return items()


def wrong_items(environ, start_response):
    class Odd(bytes):
        def __len__(self):
            return 1 << 40

        def __bytes__(self):
            return b"other"

        def __getitem__(self, i):
            raise KeyError
    start_response("200 OK", PLAIN)
    return [Odd(b"as it is")]


class Iterable:
    def __init__(self, start_response, environ, parts):
        self.start = start_response
        self.environ = environ
        self.parts = parts

    def __iter__(self):
        return self

    def __len__(self):
        outcome(self.start, "200 OK", [], exc_info())
        return 1

    def __next__(self):
        if not self.parts:
            raise StopIteration
        return self.parts.pop(0)(self)

    def close(self):
        FOUND.append(outcome(self.start, "500 Closed", [], exc_info()))
        write = KEPT.get("write")
        if write is not None:
            FOUND.append(outcome(write, b"after the end"))
            FOUND.append(outcome(write, b"z" * 300000))
        FOUND.append(outcome(self.environ["wsgi.input"].read))
        FOUND.append(outcome(self.environ["wsgi.early_hints"], [("Link", "x")]))


def starting_items(environ, start_response):
    """The reply is begun, sent and asked for by items and by close()."""
    def begin(it):
        KEPT["write"] = it.start("200 OK", PLAIN)
        KEPT["write"](b"written ")
        return b"begun "

    def more(it):
        return f"{outcome(it.start, '404 Not', [])} ".encode()

    def read(it):
        it.start = start_response
        return it.environ["wsgi.input"].read() + b" "
    return Iterable(start_response, environ, [begin, more, read])


def bounded_items(environ, start_response):
    """As above, behind a Content-Length that is reached."""
    def begin(it):
        KEPT["write"] = it.start("200 OK", [("Content-Length", "5")])
        return b"12345"
    return Iterable(start_response, environ, [begin])


def raising(kind):
    def app(environ, start_response):
        def items():
            start_response("200 OK", PLAIN)
            yield b"some "
            raise kind
        return items()
    return app


def raising_close(environ, start_response):
    class It(Iterable):
        @property
        def close(self):
            raise MemoryError

    def begin(it):
        it.start("200 OK", PLAIN)
        return b"begun"
    return It(start_response, environ, [begin])


def shrinking_result(environ, start_response):
    """A list that is cleared while its items are on their way."""
    result = [b"x" * 400000 for _ in range(50)]
    start_response("200 OK", PLAIN)
    started = threading.Event()

    def clear():
        started.set()
        for _ in range(100):
            time.sleep(0.001)
            del result[1:]
            result.extend([b"y" * 400000] * 5)
        result.clear()
        return "cleared"
    spawn(clear)
    started.wait(30)
    return result


# ---- wsgi.input ----


class Size:
    """A size that reads when it is asked for."""

    def __init__(self, stream, call, n):
        self.stream, self.call, self.n = stream, call, n

    def __index__(self):
        got = getattr(self.stream, self.call)()
        FOUND.append(len(got))
        return self.n


def sizes(environ, start_response):
    stream = environ["wsgi.input"]
    said = []
    for call in ("read", "readline", "readlines"):
        for inner in ("read", "readline"):
            r = outcome(getattr(stream, call), Size(stream, inner, 100))
            said.append(len(r) if not isinstance(r, str) else r)
    total = len(b"".join(stream))
    del FOUND[:]
    return tell(environ, start_response, *said, total)


def size_then_half(environ, start_response):
    """One half is read by __index__, the whole is asked for."""
    stream = environ["wsgi.input"]
    n = int(environ["CONTENT_LENGTH"])

    class Half:
        def __index__(self):
            stream.read(n // 2)
            return n
    r = outcome(stream.read, Half())
    return tell(environ, start_response, len(r) if isinstance(r, bytes) else r)


def wrong_sizes(environ, start_response):
    stream = environ["wsgi.input"]

    class Raises:
        def __index__(self):
            raise SystemExit
    said = [outcome(stream.read, 1.5), outcome(stream.read, "1"),
            outcome(stream.read, Raises()), outcome(stream.read, 1, 2),
            outcome(stream.readline, Raises()),
            outcome(stream.readlines, Raises()),
            outcome(stream.read, 0), outcome(stream.read, 1),
            len(stream.read(1 << 70)), outcome(stream.read, -(1 << 70))]
    return tell(environ, start_response, *said)


def outliving_size(environ, start_response):
    """A size that is known when the request is over."""
    go = KEPT["go"] = threading.Event()
    stream = environ["wsgi.input"]
    started = [threading.Event() for _ in range(3)]

    class Late:
        def __init__(self, event):
            self.event = event

        def __index__(self):
            self.event.set()
            go.wait(30)
            return 10
    for call, event in zip(("read", "readline", "readlines"), started):
        spawn(getattr(stream, call), Late(event))
    for event in started:
        event.wait(30)
    return tell(environ, start_response, "over")


def reading_threads(environ, start_response):
    """Many at once; the request ends in the midst of it."""
    stream = environ["wsgi.input"]
    started = threading.Event()

    def body(call, *args):
        n = 0
        for _ in range(2000):
            got = outcome(getattr(stream, call), *args)
            started.set()
            if got in ("ValueError", b""):
                break
            n += len(got) if isinstance(got, bytes) else 0
        return "read"
    for _ in range(2):
        spawn(body, "read", 3000)
        spawn(body, "readline")
        spawn(body, "readline", 10)
    started.wait(30)
    return tell(environ, start_response, "over")


# ---- environ, logs ----


def cleared_environ(environ, start_response):
    reply = tell(environ, start_response, "cleared")
    environ.clear()
    return reply


def odd_environ(environ, start_response):
    reply = tell(environ, start_response, "odd")
    environ["REMOTE_ADDR"] = 5
    environ["PATH_INFO"] = None
    environ["RAW_URI"] = b"\xff"
    environ[5] = environ
    environ["X_ATOM"] = "\udcff\n\r" * 10
    return reply


class Atom:
    """Shown by str(), it drops what the line has taken from environ."""

    def __init__(self, environ, start_response):
        self.environ = environ
        self.start = start_response

    def __str__(self):
        for key in ("REMOTE_ADDR", "PATH_INFO", "RAW_URI"):
            self.environ[key] = ("%d" % time.time_ns()) * 50
        self.environ["X_ATOM"] = "gone"
        outcome(self.start, "500 Logged", [], exc_info())
        return "atom" * 30

    __format__ = None


def atom_environ(environ, start_response):
    reply = tell(environ, start_response, "atom")
    # not among the small objects, whose memory no sanitizer looks at
    environ["REMOTE_ADDR"] = ("%d" % time.time_ns()) * 50
    environ["PATH_INFO"] = ("/%d" % time.time_ns()) * 50
    environ["X_ATOM"] = Atom(environ, start_response)
    return reply


class Key(str):
    """Equal to REMOTE_ADDR's and the like, and says so by code."""
    environ = None

    def __hash__(self):
        return hash(str(self))

    def __eq__(self, other):
        e = Key.environ
        if e is not None and other == "PATH_INFO":
            Key.environ = None
            e["REMOTE_ADDR"] = ("%d" % time.time_ns()) * 50
        return str.__eq__(self, other)


def key_environ(environ, start_response):
    reply = tell(environ, start_response, "key")
    environ["REMOTE_ADDR"] = ("%d" % time.time_ns()) * 50
    path = environ.pop("PATH_INFO")
    environ[Key("PATH_INFO")] = path + "".join(["p"] * 90)
    Key.environ = environ
    return reply


# ---- files ----


def bad_files(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    said = [outcome(wrapper), outcome(wrapper, 1, 2, 3),
            outcome(wrapper, io.BytesIO(), "x")]
    it = wrapper(io.BytesIO(b"abc"), -5)
    said.append(outcome(next, it))
    it = wrapper(object())
    said.append(outcome(next, it))
    said.append(outcome(it.close))
    del it.filelike
    said.append(outcome(next, it))
    said.append(outcome(it.close))
    return tell(environ, start_response, *said)


def deep_files(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    w = wrapper(io.BytesIO())
    for _ in range(300000):
        w = wrapper(w)
    del w
    return tell(environ, start_response, "deep")


def talking_file(environ, start_response):
    """A plain file at first sight, then one that replies."""
    wrapper = environ["wsgi.file_wrapper"]

    class Wrapper(wrapper):
        looks = 0

        @property
        def filelike(self):
            Wrapper.looks += 1
            if Wrapper.looks == 1:
                return real
            return self.other
    real = open(__file__, "rb")
    write = start_response("200 OK", PLAIN)

    class Other:
        def fileno(self):
            write(b"fileno ")
            return real.fileno()

        def tell(self):
            write(b"tell ")
            return 0

        def read(self, n):
            data, Other.data = Other.data, b""
            return data
        data = b"read"

        def close(self):
            real.close()
            outcome(write, b"closed")
    w = Wrapper(real)
    w.other = Other()
    return w


def closing_file(environ, start_response):
    """tell() closes what fileno() named."""
    wrapper = environ["wsgi.file_wrapper"]
    real = open(__file__, "rb")

    class Wrapper(wrapper):
        looks = 0

        @property
        def filelike(self):
            Wrapper.looks += 1
            return real if Wrapper.looks <= 2 else Other()

    class Other:
        def tell(self):
            real.close()
            return 0

        def read(self, n):
            return b""
    start_response("200 OK", PLAIN)
    return Wrapper(real)


def long_file(environ, start_response):
    """A length that no file has, and none that is a number."""
    start_response("200 OK", [("Content-Length", "18446744073709551615")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def reading_file(environ, start_response):
    class File:
        left = 3

        def read(self, n):
            File.left -= 1
            if File.left < 0:
                return b""
            start_response("200 OK", PLAIN, exc_info())
            return b"part "
    return environ["wsgi.file_wrapper"](File())


# ---- hints, sockets, errors, types ----


def hints(environ, start_response):
    hint = environ["wsgi.early_hints"]
    pairs = [("Link", "</a>")] * 50

    class Pair(list):
        def __iter__(self):
            pairs.clear()
            return iter(("Link", "</b>"))

    class Odd(str):
        def __repr__(self):
            pairs.clear()
            return "odd"
    pairs.insert(0, Pair())

    def starts():
        start_response("200 OK", PLAIN)(b"inner ")
        yield ("Link", "</c>")
    said = [outcome(hint, pairs), outcome(hint, [(Odd("bad name"), "x")]),
            outcome(hint, [[Odd("\u20ac"), "x"]]), outcome(hint, 5),
            outcome(hint, [5]), outcome(hint, starts())]
    return [" ".join(str(s) for s in said).encode()]


def outliving_hints(environ, start_response):
    started, go = threading.Event(), threading.Event()
    KEPT["go"] = go

    def fields():
        started.set()
        go.wait(30)
        yield ("Link", "</late>")
    spawn(environ["wsgi.early_hints"], fields())
    started.wait(30)
    return tell(environ, start_response, "over")


def sockets(environ, start_response):
    """Looked at by many at once: one socket."""
    sock = environ["gunicorn.socket"]
    before = len(os.listdir("/proc/self/fd"))
    seen = []
    threads = [spawn(lambda: seen.append(sock.fileno())) for _ in range(8)]
    for t in threads:
        t.join(30)
    del FOUND[:]
    more = len(os.listdir("/proc/self/fd")) - before
    said = outcome(type(sock))
    return tell(environ, start_response, len(set(seen)), more, said)


def types(environ, start_response):
    """Objects of the server's types that the server did not make."""
    said = []
    kinds = [type(environ["wsgi.input"]), type(environ["wsgi.errors"]),
             type(environ["gunicorn.socket"])]
    for kind in kinds:
        made = outcome(kind)
        said.append(made if isinstance(made, str) else "made")
        made = outcome(kind.__new__, kind)
        said.append(made if isinstance(made, str) else "made")
        made = outcome(object.__new__, kind)
        said.append(made if isinstance(made, str) else "made")
        if not isinstance(made, str):
            for word in ("read", "write", "fileno", "readline"):
                outcome(getattr(made, word, int), "x")
        said.append(str(outcome(type, "Sub", (kind,), {})))
    return tell(environ, start_response, *said)


def errors(environ, start_response):
    log = environ["wsgi.errors"]

    class Text(str):
        def encode(self, *args):
            return 5

        def __str__(self):
            return "other"

    def lines():
        yield Text("hostile line\n")
        yield 5
    said = [outcome(log.write, Text("hostile text\n")), outcome(log.write, b"x"),
            outcome(log.write, "\udcff\n"), outcome(log.writelines, lines())]
    return tell(environ, start_response, *said)


def base(kind):
    def app(environ, start_response):
        raise kind
    return app


PATHS = {f.__name__: f for f in (
    ok, joined, keep, use_kept, twice, nested_generator, nested_item,
    shrinking_list, growing_list, talking_name, talking_status, talking_value,
    no_exception, words_of_call, outliving_generator, outliving_name,
    many_starts, write_from_thread, writers, dying_bytes, dying_items,
    wrong_items, starting_items, bounded_items, raising_close, shrinking_result,
    sizes, size_then_half, wrong_sizes, outliving_size, reading_threads,
    cleared_environ, odd_environ, atom_environ, key_environ, bad_files,
    deep_files, talking_file, closing_file, long_file, reading_file, hints,
    outliving_hints, sockets, types, errors)}
PATHS.update({f"raise_{k.__name__}": raising(k) for k in (
    SystemExit, GeneratorExit, MemoryError, RecursionError)})
PATHS.update({f"base_{k.__name__}": base(k) for k in (
    SystemExit, GeneratorExit, StopIteration, MemoryError)})


def app(environ, start_response):
    return PATHS[environ["PATH_INFO"].strip("/")](environ, start_response)
