# SPDX-License-Identifier: MIT
"""tests/cases/http-cases.json in the shape of HTTP/2: what a case says with the
means of HTTP/1.1 is said as HEADERS and DATA, and has to have the same verdict.

What only HTTP/1.1 can say (its line ends, folding, versions, chunks, preambles)
has no such shape. What HTTP/2 forbids beyond that is malformed here: fields of
the connection, targets that are no paths (RFC 9113, 8.2.2 and 8.3.1).
"""
import json
import re

import pytest

from harness import sealed
from harness.h2wire import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NO_TABLE,
                            PROTOCOL_ERROR, RST, block, connect, frame, status_of)
from test_20_http_cases import CASES, raw_of

pytestmark = sealed.in_the_clear("HTTP/2 is agreed on by ALPN")
OF_THE_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding",
                     "upgrade"}
LINE = re.compile(r"([^ ]*) (.*) HTTP/1\.1", re.S)


class Shape:
    """A request in words of HTTP/2."""

    def __init__(self, fields, body, trailers, malformed):
        self.fields, self.body, self.trailers = fields, body, trailers
        self.malformed = malformed  # for HTTP/2, whatever HTTP/1.1 says of it

    def is_ended(self):
        return not self.body and self.trailers is None


def fields_of(lines):
    """[(name, value)], or None: they cannot be said."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or line[0] in " \t":
            return None
        fields.append((name.lower(), value.strip(" \t")))
    return fields


def chunks_of(text):
    """(body, trailers) of a body in chunks without a fault, or None."""
    body = ""
    while True:
        m = re.match(r"([0-9a-fA-F]{1,16})\r\n", text)
        if not m:
            return None
        size, text = int(m[1], 16), text[m.end():]
        if size == 0:
            break
        if text[size:size + 2] != "\r\n":
            return None
        body, text = body + text[:size], text[size + 2:]
    if text.startswith("\r\n"):
        return body, None
    trailers = fields_of(text.partition("\r\n\r\n")[0].split("\r\n"))
    return trailers and (body, trailers)


def pseudo_of(method, target, hosts):
    if method == "CONNECT":
        return [(":method", method), (":authority", target)]
    found = [(":method", method), (":scheme", "http"), (":path", target)]
    if len(hosts) == 1:
        return found + [(":authority", hosts[0])]
    return found + [("host", h) for h in hosts]


def shape_of(case):
    """None: only HTTP/1.1 can say this."""
    head, end, rest = raw_of(case).decode("latin-1").partition("\r\n\r\n")
    line, *lines = head.split("\r\n")
    words, fields = LINE.fullmatch(line), fields_of(lines)
    if case.get("settings") or not end or not words or fields is None:
        return None
    body, trailers = rest, None
    coded = [v for n, v in fields if n == "transfer-encoding"]
    if coded:
        decoded = chunks_of(rest) if coded == ["chunked"] else None
        if decoded is None and coded == ["chunked"]:
            return None
        if decoded:
            body, trailers = decoded
            fields = [f for f in fields if f[0] != "transfer-encoding"]
    else:
        lengths = [v for n, v in fields if n == "content-length"]
        if not lengths:
            body = ""
        elif re.fullmatch("[0-9]{1,9}", lengths[0]):
            body = rest[:int(lengths[0])]
    hosts = [v for n, v in fields if n == "host"]
    pseudo = pseudo_of(words[1], words[2], hosts)
    named = {n for n, _ in fields + (trailers or [])}
    malformed = bool(named & OF_THE_CONNECTION) or (
        words[1] != "CONNECT" and not words[2].startswith("/") and words[2] != "*")
    return Shape(pseudo + [f for f in fields if f[0] != "host"], body.encode("latin-1"),
                 trailers, malformed)


SHAPES = {case["id"]: shape_of(case) for case in CASES}


@pytest.fixture(scope="module")
def echo(module_server):
    return module_server("echo:app", apps=["echo.py"], config="""
header_timeout = 10
forwarded_allow_ips = '127.0.0.1'
forwarder_headers = ''
http_protocols = 'h2,h1'
http2_cleartext = 'both'
""")


# ---- ways to send one ----

def whole(shape, stream):
    end = END_STREAM if shape.is_ended() else 0
    data = frame(HEADERS, END_HEADERS | end, stream, block(shape.fields))
    if shape.body:
        end = END_STREAM if shape.trailers is None else 0
        data += b"".join(frame(DATA, end if i + 16384 >= len(shape.body) else 0, stream,
                               shape.body[i:i + 16384])
                         for i in range(0, len(shape.body), 16384))
    if shape.trailers is not None:
        data += frame(HEADERS, END_HEADERS | END_STREAM, stream, block(shape.trailers))
    return data


def in_pieces(shape, stream):
    """A CONTINUATION for each piece of the head, a DATA for each byte."""
    text = block(shape.fields)
    step = max(1, len(text) // 5)
    pieces = [text[i:i + step] for i in range(0, len(text), step)]
    last = len(pieces) - 1
    data = b""
    for i, piece in enumerate(pieces):
        flags = END_HEADERS if i == last else 0
        if i == 0 and shape.is_ended():
            flags |= END_STREAM
        data += frame(CONTINUATION if i else HEADERS, flags, stream, piece)
    for i in range(len(shape.body)):
        end = shape.trailers is None and i == len(shape.body) - 1
        data += frame(DATA, END_STREAM if end else 0, stream, shape.body[i:i + 1])
    if shape.trailers is not None:
        data += frame(HEADERS, END_HEADERS | END_STREAM, stream, block(shape.trailers))
    return data


def fits(data):
    at = 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 3], "big")
        if n > 16384:
            return False
        at += 9 + n
    return True


# ---- what comes of it ----

def verdict_of(client, stream):
    """(status, body) of a reply, or (None, the code of a reset)."""
    status, body = None, b""
    while True:
        f = client.read()
        assert f is not None, "the connection ended"
        kind, flags, of, payload = f
        if of != stream:
            continue
        if kind == RST and status is None:
            return None, int.from_bytes(payload, "big")
        if kind == RST:  # the rest of the body is not wanted
            return status, body
        if kind == HEADERS and (status is None or status < 200):
            status = status_of(payload)
        elif kind == DATA:
            body += payload
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            return status, body


def judge(case, shape, client, stream):
    status, said = verdict_of(client, stream)
    expect = case["expect"]
    if status == 200 and not shape.malformed and (
            expect in ("A", "AR") or "A" in case.get("status", "")):
        if case.get("requests") and case["requests"][0][0] != "HEAD":
            assert json.loads(said) == case["requests"][0]
        return
    assert expect == "R" or shape.malformed, f"it was refused: {status} {said!r}"
    if status is None:
        assert said == PROTOCOL_ERROR, f"reset with {said}"
    else:
        assert 400 <= status <= 501, status


@pytest.mark.parametrize("how", [whole, in_pieces], ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", [c for c in CASES if SHAPES[c["id"]]],
                         ids=lambda c: c["id"])
def test_case(echo, case, how):
    shape = SHAPES[case["id"]]
    data = how(shape, 1)
    if not fits(data):
        pytest.skip("its head is more than a frame takes")
    client = connect(echo, settings=[NO_TABLE])
    try:
        client.send(data)
        judge(case, shape, client, 1)
        client.next_id = 3  # whatever came of it: the connection goes on
        assert json.loads(client.body(client.request("/next"))) == ["GET", "/next", ""]
    finally:
        client.close()
    echo.check_log()


def test_most_cases_have_a_shape():
    found = [c for c in CASES if SHAPES[c["id"]]]
    accepted = [c for c in found if c["expect"] == "A" and not SHAPES[c["id"]].malformed]
    assert len(found) > 100 and len(accepted) > 35, (len(found), len(accepted))


def test_the_runner_can_fail(echo):
    case = {"id": "x", "expect": "A", "requests": [["GET", "/other", ""]]}
    shape = Shape([(":method", "GET"), (":scheme", "http"), (":path", "/g"),
                   (":authority", "a")], b"", None, False)
    for wrong in (case, {"id": "x", "expect": "R", "status": "400"}):
        client = connect(echo, settings=[NO_TABLE])
        client.send(whole(shape, 1))
        with pytest.raises(AssertionError):
            judge(wrong, shape, client, 1)
        client.close()
