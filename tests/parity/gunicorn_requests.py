# SPDX-License-Identifier: MIT
"""gunicorn's own corpus of requests (its source's tests/requests) over TCP: what
gunicorn accepts has to be served with the same environ, what it refuses to be
refused, but for the differences listed here, in one write and byte by byte.

usage: gunicorn_requests.py SOURCE [CGUNICORN [OPTION...]]

SOURCE is gunicorn's source tree; run with a Python that can import gunicorn.
"""
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
APP = """\
import json

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    told = {k: v for k, v in environ.items() if isinstance(v, str)}
    told["body"] = body.decode("latin-1")
    told["trailers"] = [list(x) for x in getattr(
        environ["wsgi.input"], "trailers", [])]
    out = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(out)))])
    return [out]
"""
# why it is answered otherwise; docs/differences.md has the same
EARLY = "a body that ends early: the application never runs"
EIGHT = "bytes above 0x7f in a target are accepted"
CONNECT = "the target of CONNECT is no path"
IDENTITY = "identity is no transfer coding any more"
KNOWN = {
    "valid/029": IDENTITY,
    "valid/030": IDENTITY,
    "valid/rfc9112_smuggle_te_identity_chunked_01": IDENTITY,
    "valid/099": EARLY,  # its Content-Length is twice its body
    "valid/rfc9112_target_authority_connect_01": CONNECT,
    "valid/rfc9112_target_authority_ipv6_01": CONNECT,
    "invalid/rfc9112_leading_crlf_02": "two empty lines before a request",
    "invalid/rfc9112_target_non_ascii_01": EIGHT,
    "invalid/rfc9112_target_non_ascii_02": EIGHT,
}
# what our server answers where gunicorn raises; the others are a 400
STATUS = {
    "LimitRequestLine": "414", "LimitRequestHeaders": "431",
    "UnsupportedTransferCoding": "501", "ExpectationFailed": "417",
    "ForbiddenProxyRequest": "403", "NoMoreData": "closed",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One for each combination of settings."""

    def __init__(self, words, settings):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        (folder / "echo.py").write_text(APP)
        (folder / "conf.py").write_text("".join(
            f"{k} = {v!r}\n" for k, v in sorted(settings.items())))
        self.port = free_port()
        self.process = subprocess.Popen(
            [*words, "-c", "conf.py", "-b", f"127.0.0.1:{self.port}",
             "--allow-missing-host", "--log-level", "error", "echo:app"],
            cwd=folder)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                self.process.poll()
                subprocess.run(["sleep", "0.05"], check=True)
        raise SystemExit("the server does not listen")

    def ask(self, parts):
        """All that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for part in parts:
                    s.sendall(part)
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            out = b""
            while True:
                try:
                    more = s.recv(65536)
                except ConnectionResetError:
                    more = b""
                if not more:
                    return out
                out += more

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def replies(data):
    """[(status, environ or None)]"""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.\d (\d+)", head)
        if not status:
            return found + [("junk", None)]
        if status[1][:1] == b"1":
            data = rest
            continue
        length = re.search(rb"(?i)content-length: (\d+)", head)
        n = int(length[1]) if length else len(rest)
        body, data = rest[:n], rest[n:]
        told = json.loads(body) if status[1] == b"200" and body else None
        found.append((status[1].decode(), told))
    return found


def settings_of(cfg):
    from gunicorn.config import Config

    plain = Config().settings
    found = {name: s.get() for name, s in cfg.settings.items()
             if s.get() != plain[name].get() and name != "http_parser"}
    return {k: ",".join(v) if isinstance(v, list) else v
            for k, v in found.items()}


def fields_of(request):
    """Its fields as the environ has them."""
    found = {}
    for name, value in request["headers"]:
        key = name.upper().replace("-", "_")
        if name.upper() not in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            key = "HTTP_" + key
        found[key] = found[key] + "," + value if key in found else value
    return found


def problems_of(request, told):
    wrong = []
    path = urllib.parse.unquote_to_bytes(request["uri"]["path"])
    want = {"REQUEST_METHOD": request["method"],
            "PATH_INFO": path.decode("latin-1"),
            "RAW_URI": request["uri"]["raw"],
            "QUERY_STRING": request["uri"]["query"],
            "SERVER_PROTOCOL": "HTTP/%d.%d" % request["version"],
            **fields_of(request)}
    body = request.get("body", b"")
    body = body if isinstance(body, bytes) else body.encode("latin-1")
    if told["body"].encode("latin-1") != body:
        wrong.append(f"body {body[:60]!r}: {told['body'][:60]!r}")
    more = {k: None for k in told if k.startswith("HTTP_") and k not in want}
    for key, value in {**want, **more}.items():
        if told.get(key) != value:
            wrong.append(f"{key} {value!r}: {told.get(key)!r}")
    return wrong


def judge_valid(expect, got):
    requests = expect if isinstance(expect, list) else [expect]
    wrong = []
    for i, request in enumerate(requests):
        if isinstance(request, type):  # an exception after good ones
            if i >= len(got) or got[i][0] == "200":
                wrong.append(f"{request.__name__}: {got[i:]}")
            continue
        status, told = got[i] if i < len(got) else ("nothing", None)
        if told is None and not (status == "200" and request["method"] == "HEAD"):
            wrong.append(f"served: {status}")
        elif told is not None:
            wrong += problems_of(request, told)
    if len(got) > len(requests):
        wrong.append(f"{len(requests)} replies: {[s for s, _ in got]}")
    return wrong


def judge_invalid(expect, got):
    status = "+".join(status for status, _ in got) or "closed"
    want = STATUS.get(expect.__name__, "400")
    return [] if status == want else [f"{expect.__name__}, {want}: {status}"]


def cases(source):
    sys.path.insert(0, str(source / "tests"))
    import treq

    for kind in ("valid", "invalid"):
        for path in sorted((source / "tests/requests" / kind).glob("*.http")):
            env = treq.load_py(str(path.with_suffix(".py")))
            expect = env["request"]
            reader = treq.request if kind == "valid" else treq.badrequest
            data = reader(str(path), expect).data if kind == "valid" \
                else reader(str(path)).data
            yield kind, path.stem, data, expect, settings_of(env["cfg"])


def shapes(data):
    yield "whole", [data]
    yield "byte by byte", [data[i:i + 1] for i in range(len(data))]


def main(source, program=None, *options):
    words = [str(pathlib.Path(program or ROOT / "cgunicorn").resolve()), *options]
    servers, count, differ, unknown = {}, 0, set(), 0
    try:
        for kind, name, data, expect, settings in cases(pathlib.Path(source)):
            key = json.dumps(settings, sort_keys=True)
            if key not in servers:
                servers[key] = Server(words, settings)
            judge = judge_valid if kind == "valid" else judge_invalid
            wrong = {}
            for shape, parts in shapes(data):
                for text in judge(expect, replies(servers[key].ask(parts))):
                    wrong.setdefault(text, []).append(shape)
            count += 1
            case = f"{kind}/{name}"
            if wrong:
                differ.add(case)
                unknown += case not in KNOWN
                print(f"{case}: {KNOWN.get(case, 'unknown')}: " + "; ".join(
                    f"{t} ({' and '.join(at)})" for t, at in wrong.items()))
    finally:
        for server in servers.values():
            server.end()
    unused = sorted(set(KNOWN) - differ)
    print(f"{count} cases, {len(differ)} differ, {unknown} of them for no known "
          f"reason; differences that are none any more: {unused or 'none'}")
    return 1 if unknown or unused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
