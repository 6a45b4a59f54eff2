# SPDX-License-Identifier: MIT
"""Applications whose objects call back, change what is being read, or outlive
their request: an exception for them, and nothing for others. Meant to be run
with a sanitizer; without one a worker that dies is seen all the same."""
import contextlib

import pytest

from harness import classes
from harness.wire import Closed, Peer

FORMAT = "%({x_atom}e)s %(h)s %(U)s %({X_ATOM}e)s %(r)s %(b)s %({x-late}o)s"
NOISE = [r"Error (handling|closing)", "Exception ignored in"]
BODY = b"".join(b"line %d\n" % i for i in range(4000))
LARGE = BODY * 60  # lies in a file


def serve(module_server, *args):
    return module_server("--timeout", "60", "--access-logfile", "access.log",
                         "--access-logformat", FORMAT, *args, "hostile:app",
                         apps=["hostile.py"], announced=NOISE)


@pytest.fixture(scope="module", params=["buffered", "streaming"])
def shared(module_server, request):
    if request.param == "buffered":
        return serve(module_server)
    if not classes.streams():
        pytest.skip("this class waits for the whole body")
    return serve(module_server, "--stream-requests")


@pytest.fixture
def probe(shared):
    shared.worker = shared.get("/ok").body
    return shared


def is_alive(server):
    """The same worker answers, and its answer is whole."""
    reply = server.get("/ok")
    assert (reply.status, reply.body) == (200, server.worker)


def text(server, path, body=None):
    reply = server.get(path) if body is None else server.post(path, body)
    assert reply.status == 200, reply
    is_alive(server)
    return reply.body.decode()


def joined(server):
    """What the threads of the attack met."""
    return text(server, "/joined").split()


# ---- start_response ----


def test_what_is_kept_ends_with_its_request(probe):
    assert text(probe, "/keep") == "kept"
    assert text(probe, "/use_kept").split() == [
        "ValueError", "ValueError", "ValueError", "ValueError", "ValueError",
        "ValueError", "ValueError", "None", "ValueError"]


def test_start_response_twice(probe):
    assert probe.get("/twice").status == 200
    is_alive(probe)


@pytest.mark.parametrize("path", [
    "nested_generator", "nested_item", "talking_name", "talking_status",
    "talking_value"])
def test_a_reply_within_start_response(probe, path):
    """The inner reply counts, the outer one is refused."""
    reply = probe.get("/" + path)
    assert (reply.status, reply.body[:6]) == (200, b"inner ")
    assert reply.all("x-late") == []
    assert reply.body[6:].startswith(b"outer ")
    assert reply.body.endswith(b"Error")
    is_alive(probe)


def test_fields_that_change_while_they_are_read(probe):
    text(probe, "/shrinking_list")
    text(probe, "/growing_list")


def test_exc_info_without_an_exception(probe):
    said = text(probe, "/no_exception").split()
    assert said[0] == "head" and set(said[1:]) == {"TypeError"}


def test_wrong_arguments(probe):
    said = text(probe, "/words_of_call").split()
    assert set(said) <= {"TypeError", "ValueError"}


@pytest.mark.parametrize("path", ["outliving_generator", "outliving_name"])
def test_fields_that_come_after_the_end(probe, path):
    assert text(probe, "/" + path) == "over"
    assert joined(probe) == ["ValueError"]


def test_start_response_of_many_threads(probe):
    assert text(probe, "/many_starts") == "done"


# ---- write and the iterable ----


def test_write_after_the_end(probe):
    assert text(probe, "/write_from_thread") == "over"
    assert joined(probe) == ["ValueError"]


@contextlib.contextmanager
def slow(server, path):
    """A client that reads nothing for the time being."""
    with Peer(server.address) as peer:
        peer.get(path, "Connection: close")
        yield peer


def drain(peer):
    peer.sock.settimeout(60)
    with contextlib.suppress(ConnectionResetError):
        while peer.sock.recv(1 << 20):
            pass


def test_writers_while_their_request_ends(probe):
    for _ in range(3):
        with slow(probe, "/writers") as peer:
            peer.sock.recv(1000)
            drain(peer)
        is_alive(probe)
        assert set(joined(probe)) <= {"ValueError", "wrote", "RuntimeError"}


@pytest.mark.parametrize("path", ["dying_bytes", "dying_items"])
def test_bytes_whose_end_writes(probe, path):
    with slow(probe, "/" + path) as peer:
        peer.sock.recv(1000)
        drain(peer)
    is_alive(probe)


def test_a_list_that_changes_while_it_is_sent(probe):
    with slow(probe, "/shrinking_result") as peer:
        peer.sock.recv(1000)
        drain(peer)
    is_alive(probe)
    joined(probe)


def test_bytes_that_say_other_things(probe):
    assert text(probe, "/wrong_items") == "as it is"


def test_items_that_begin_and_write(probe):
    reply = probe.post("/starting_items", b"sent")
    assert reply.status == 200
    assert reply.body == b"written begun AssertionError sent "
    is_alive(probe)


def test_nothing_follows_a_complete_reply(probe):
    """close() writes, and the connection goes on with the next request."""
    with probe.connect() as peer:
        for _ in range(3):
            reply = peer.get("/bounded_items").reply()
            assert reply.body == b"12345"
        assert peer.get("/ok").reply().body == probe.worker


@pytest.mark.parametrize("kind", [
    "SystemExit", "GeneratorExit", "MemoryError", "RecursionError"])
def test_items_that_raise_anything(probe, kind):
    with contextlib.suppress(Closed):
        probe.get("/raise_" + kind)
    is_alive(probe)


@pytest.mark.parametrize("kind", [
    "SystemExit", "GeneratorExit", "StopIteration", "MemoryError"])
def test_applications_that_raise_anything(probe, kind):
    with contextlib.suppress(Closed):
        assert probe.get("/base_" + kind).status == 500
    is_alive(probe)


def test_close_that_is_no_method(probe):
    assert text(probe, "/raising_close") == "begun"


# ---- wsgi.input ----


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["memory", "file"])
def test_a_size_that_reads(probe, body):
    """What is left is known after the size is, not before."""
    text(probe, "/sizes", body)
    left = text(probe, "/size_then_half", body)
    assert int(left) == len(body) - len(body) // 2


def test_sizes_that_are_none(probe):
    said = text(probe, "/wrong_sizes", b"abc").split()
    assert said[:6] == ["TypeError", "TypeError", "SystemExit", "TypeError",
                        "SystemExit", "SystemExit"]
    assert said[6:] == ["b''", "b'a'", "2", "b''"]


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["memory", "file"])
def test_a_size_that_comes_after_the_end(probe, body):
    assert text(probe, "/outliving_size", body) == "over"
    assert joined(probe) == ["ValueError"] * 3


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["memory", "file"])
def test_readers_while_their_request_ends(probe, body):
    for _ in range(5):
        assert text(probe, "/reading_threads", body) == "over"
        joined(probe)


# ---- environ and logs ----


@pytest.mark.parametrize("path", [
    "cleared_environ", "odd_environ", "atom_environ", "key_environ"])
def test_environ_that_changes(probe, path):
    for _ in range(3):
        text(probe, "/" + path)


# ---- files ----


def test_files_that_are_none(probe):
    said = text(probe, "/bad_files").split()
    assert said[:3] == ["TypeError"] * 3
    assert said[-4:] == ["AttributeError", "None", "AttributeError",
                         "AttributeError"]


def test_many_files_in_each_other(probe):
    text(probe, "/deep_files")


def test_a_length_that_no_file_has(probe):
    assert probe.get("/long_file").status == 500
    is_alive(probe)


@pytest.mark.parametrize("path", ["talking_file", "closing_file",
                                  "reading_file"])
def test_files_that_change(probe, path):
    with contextlib.suppress(Closed):
        assert probe.get("/" + path).status == 200
    is_alive(probe)


# ---- the rest ----


def test_hints_that_change(probe):
    with probe.connect() as peer:
        peer.get("/hints", "Connection: close")
        peer.sock.settimeout(60)
        while peer.sock.recv(65536):
            pass
    is_alive(probe)


def test_hints_that_come_after_the_end(probe):
    assert text(probe, "/outliving_hints") == "over"
    joined(probe)


def test_many_look_at_the_socket(probe):
    with probe.connect() as peer:
        peer.get("/sockets", "Connection: close")
        reply = peer.reply()
    assert reply.body.split()[:2] == [b"1", b"1"]
    is_alive(probe)


def test_no_object_that_the_server_did_not_make(probe):
    said = set(text(probe, "/types").split())
    assert said == {"TypeError"}


def test_errors_that_are_odd(probe):
    assert text(probe, "/errors").split() == ["13", "TypeError", "2", "TypeError"]
    assert "hostile text" in probe.log()
