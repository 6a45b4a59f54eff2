# SPDX-License-Identifier: MIT
"""Worker classes: which one is under test, and in what it differs.

CGUNICORN="./cgunicorn -k gevent" runs the whole suite for that class.
"""
import fnmatch

import pytest

from . import dotted
from .server import command

MULTITHREAD = {"sync": False, "tornado": False, "subclasses.Sync": False,
               "subclasses.Tornado": False}


def under_test():
    words = command()
    for i, word in enumerate(words[:-1]):
        if word in ("-k", "--worker-class"):
            return words[i + 1]
    return "sync"


def multithread():
    """wsgi.multithread of that class with its settings' defaults."""
    words, name = command(), under_test()
    if "--threads" in words[:-1]:
        return int(words[words.index("--threads") + 1]) > 1
    return MULTITHREAD.get(name, name != "gthread")


def shares_thread():
    """Requests of that class take turns on one thread, in greenlets."""
    return under_test() in ("gevent", "eventlet", "subclasses.Gevent")


def keeps_replies():
    """What a slow reader has not read goes to a file, and the request ends; in
    the other classes its greenlet or task waits, which holds nobody."""
    return not shares_thread() and under_test() != "asgi" and not dotted.name(command())


def streams():
    """request_buffering = False has an effect."""
    return under_test() not in ("tornado", "subclasses.Tornado")


def has_package():
    """The loop of that class is a Python package's, or a Python class's."""
    return under_test() not in ("sync", "gthread")


needs_sleep_that_blocks = pytest.mark.skipif(
    shares_thread(), reason="time.sleep lets others go on in this class")
needs_no_package = pytest.mark.skipif(
    has_package(),
    reason="the package of this class imports what it likes")
needs_other_than_tornado = pytest.mark.skipif(
    under_test() == "tornado", reason="requests run on an asyncio loop: Django "
    "refuses its database there, under gunicorn as well, and a long reply to "
    "a slow reader stops it")
needs_passes = pytest.mark.skipif(
    has_package(),
    reason="the loop is the package's: a line is written when its request ends, "
    "not at the end of a pass")
needs_turns = pytest.mark.skipif(
    has_package(),
    reason="the package's loop waits for the engine's descriptor, so that a "
    "connection wakes all workers and the first of them takes it")
needs_kept_replies = pytest.mark.skipif(
    not keeps_replies(), reason="a greenlet waits for its slow reader and holds "
    "nobody: nothing is put into a file")
needs_streaming = pytest.mark.skipif(
    not streams(), reason="this class waits for the whole body")


# In the class asgi WSGI applications run behind a face (apps/asgi_face.py),
# which reads the whole body first and answers in one task. What tests the WSGI
# side of a server says nothing about it: by reason, patterns of their names.
NOT_BEHIND_A_FACE = {
    "the environ is the face's; test_75 looks at the scope": """
        test_the_request_line_is_told
        test_the_wsgi_keys_are_right_for_one_worker
        test_gunicorns_own_keys_are_there
        test_the_error_stream_answers_what_streams_are_asked
        test_the_peer_and_the_server_are_told_over_a_unix_socket
        test_the_absolute_form_gives_its_path
        test_a_script_name_* test_a_path_outside_the_script_name_is_a_500
        test_a_trusted_proxy_may_send_what_forwarder_headers_names
        test_case[TG01] test_case[TG06] test_case[TG10] test_case[TG27]""",
    "a scope has no field for what a proxy tells of the server's side": """
        test_what_a_proxy_told_moves_with_a_request_to_another_worker""",
    "wsgi.input is the face's; test_39 has bodies that are being sent": """
        test_a_chunked_body_has_a_length_for_the_application*
        test_another_coding_is_left_to_the_application*
        test_a_streamed_body_has_no_length_yet*
        test_lm15_a_body_without_memory_for_it_is_kept_in_a_file
        test_a_body_that_no_longer_fits_is_a_503_and_a_line_in_the_log
        test_24_streaming.py::*""",
    "ASGI has no reason phrase, no start_response and no exc_info": """
        test_the_status_is_the_applications*
        test_a_bad_status_is_a_500_and_a_line_in_the_log*
        test_a_second_start_response_*
        test_exc_info_after_the_headers_is_raised_again""",
    "a body is any buffer; a second call of send() raises": """
        test_rs20_items_that_are_not_bytes_are_a_500[/memoryview]
        test_rs30_write_after_the_end_raises
        test_too_many_bytes_are_cut test_a_file_is_sent_up_to_the_length""",
    "that a reply to HEAD has a body is usual: frameworks leave it to the "
    "server": "test_rs16_head_keeps_the_length_and_a_body_is_told_once",
    "ASGI has early hints and files of its own, in test_75": """
        test_rs36_* test_a_file_wrapper_without_its_file_raises
        test_a_plain_file_is_sent_without_reading_it*
        test_files_are_sent_without_sendfile_as_well""",
    "the name in titles and of syslog is the face's": """
        test_processes_are_titled_as_gunicorns
        test_the_new_master_takes_over_when_the_old_one_is_stopped*
        test_both_logs_go_to_syslog_as_gunicorn_writes_them
        test_access_lines_may_be_kept_out_of_syslog
        test_lines_of_hooks_go_to_syslog test_syslog_on_a_unix_socket*""",
    "an application that a test starts by itself, or writes anew, has no face": """
        test_a_new_master_that_fails_leaves_the_old_one_serving*
        test_hooks_that_fail_in_a_new_worker_halt_the_start_with_3
        test_a_shell_that_reads_its_output_is_not_kept_waiting
        test_relative_paths_count_from_the_applications_folder""",
    "headers of a scope are bytes: what a hook adds has to be text":
        "test_fields_that_a_hook_adds_may_hold_anything",
    "there is no gunicorn.socket, and Upgrade: websocket is a handshake": """
        test_case[UP03] test_up02_an_upgrade_is_answered_*[fields1]
        test_up03_a_body_of_a_request_with_upgrade_is_read_first
        test_an_application_may_take_the_socket_over
        test_a_socket_that_was_looked_at_does_not_stop_the_worker
        test_asking_for_the_type_of_the_socket_does_not_take_it""",
}


def why_not(nodeid):
    """The reason, when that test is none for the class under test; or None."""
    table = dict(NOT_BEHIND_A_FACE) if under_test() in dotted.FACED else {}
    if dotted.name(command()):
        table.update(dotted.declared(command()))
    path, _, test = nodeid.partition("::")
    name = path.rpartition("/")[2] + "::" + test
    for reason, patterns in table.items():
        for pattern in patterns.split():
            whole = pattern if "::" in pattern else "*::" + pattern
            if fnmatch.fnmatchcase(_plain(name), _plain(whole)):
                return reason
    return None


def _plain(text):
    """Brackets mean themselves."""
    return text.replace("[", "(").replace("]", ")")


def skip_unless_installed(run, name):
    """For classes that need a package of the interpreter inside."""
    if name != "tornado" and _checks_stacks():
        pytest.skip("AddressSanitizer's checks of the stack know no greenlets: "
                    "OPT='-O1 --param asan-stack=0' leaves them out")
    done = run("-k", name, "--check-config", "shop:app",
               files={"shop.py": "app = print\n"})
    # the second: Debian's package, which has no binary part for this Python
    for reason in ("it needs", "cannot be imported: ModuleNotFoundError"):
        if reason in done.err:
            pytest.skip(done.line_with(reason))
    assert done.status == 0, done.err


def _checks_stacks():
    with open(command()[0], "rb") as f:
        return b"__asan_stack_malloc" in f.read()
