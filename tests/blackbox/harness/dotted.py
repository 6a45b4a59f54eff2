# SPDX-License-Identifier: MIT
"""Worker classes written in Python, by a dotted name: CGUNICORN="./cgunicorn -k
subclasses.Sync" (tests/blackbox/dotted, or a class of one's own that PYTHONPATH leads
to). They are gunicorn's classes: what they do otherwise than the server's own, as
gunicorn itself does, is declared here, by reason, as patterns of tests' names."""
import pathlib

FOLDER = str(pathlib.Path(__file__).resolve().parent.parent / "dotted")
# Of every class: the master says this of one that was timed out.
TOLD_OF_TIMEOUTS = "is of a class written in Python: its stacks show what it runs"


# These serve ASGI: a WSGI application runs behind a face (apps/asgi_face.py).
FACED = ("asgi", "subclasses.Uvicorn")


def name(words):
    """The dotted name of the class that a command line has; or None."""
    for i, word in enumerate(words[:-1]):
        if word in ("-k", "--worker-class") and "." in words[i + 1]:
            return words[i + 1]
    return None


EVERY = {
    "the application reads from the socket: it is given what came, where a body "
    "ends early": """
        test_a_body_that_ends_early_is_a_400* test_a_body_that_is_reset_is_told*""",
    "the application is given the coding of a chunked body, not its length":
        "test_a_chunked_body_has_a_length_for_the_application*",
    "a reply without Content-Length is chunked, also if it is one item": """
        test_a_body_arrives_whole_in_the_right_framing[/plain-*-length]
        test_replies_still_being_sent_are_finished_at_a_graceful_stop""",
    "bad early hints raise gunicorn's exceptions, which are no ValueError": """
        test_rs36_bad_early_hints_raise_and_send_nothing[name]
        test_rs36_bad_early_hints_raise_and_send_nothing[value]""",
    "gunicorn's FileWrapper can be used without its file up to the first read":
        "test_a_file_wrapper_without_its_file_raises",
    "the SystemExit of a handler is lost where Python swallows it, and hooks "
    "are called for each signal": """
        test_a_stop_in_a_callback_of_the_boot_is_not_swallowed*
        test_worker_int_is_called_once_when_a_quick_stop_is_repeated""",
    "the scoreboard does not know the requests of a class written in Python": """
        test_the_timeout_tells_which_request_was_stuck
        test_a_timeout_tells_the_request_and_the_stack*
        test_a_stopped_worker_is_told_as_such_and_killed
        test_a_crash_tells_the_stack_and_what_was_lost""",
    "connections that the kernel has taken and the class has not are reset when "
    "its listeners are closed": """
        test_a_graceful_stop_under_load_of_single_requests_loses_nothing
        test_what_waits_in_the_listen_queue_is_served_before_the_end*""",
    "a worker that has served its requests ends, and then another is started":
        "test_a_spent_worker_serves_until_its_successor_does",
    "the loop is the class's own: it waits in a select of its own":
        "test_no_connection_waits_while_the_other_masters_workers_are_idle*",
    "request_timeout is the engine's": "test_48_request_timeout.py::*",
    "a stranger does not reach the module of the class":
        "test_user_without_the_right_to_it_stops_the_start",
}
CLOSES = {
    "this class closes every connection after its reply": """
        test_reading_never_passes_the_end_of_the_body*
        test_a_body_the_application_leaves_is_not_taken_for_a_request*
        test_100_continue_is_sent_before_the_body_comes*
        test_lm19_a_small_reply_is_sent_as_soon_as_it_is_there*
        test_an_empty_answer_to_head_says_no_length*
        test_max_requests_counts_requests_of_one_connection
        test_rs36_early_hints_come_before_the_reply
        test_a_graceful_stop_under_load_loses_nothing
        test_there_is_one_line_for_each_pipelined_request_in_order
        test_what_was_pipelined_is_answered_at_a_stop""",
}
THREADS = {
    "Python waits for the threads of a pool before a process ends, and a sign of "
    "life is the main thread's": """
        test_a_quick_stop_does_not_wait_for_a_request
        test_a_quick_stop_of_a_request_is_no_fault_of_the_application
        test_a_quick_stop_that_came_just_before_a_wait_ends_it_all_the_same
        test_a_quick_stop_that_was_swallowed_is_repeated
        test_a_second_signal_hastens_a_graceful_stop
        test_a_worker_abort_that_hangs_is_ended_by_kill
        test_a_worker_stuck_beyond_the_timeout_is_killed_and_replaced
        test_an_idle_worker_is_not_taken_for_stuck test_a_slow_boot_is_not_a_timeout""",
    "head and body are sent one after the other":
        "test_lm19_a_small_reply_is_sent_as_soon_as_it_is_there*",
}
BY_NAME = {"subclasses.Sync": (CLOSES,), "subclasses.Thread": (THREADS,)}


def declared(words):
    """{reason: patterns} for the class that a command line has."""
    found = dict(EVERY)
    for table in BY_NAME.get(name(words), ()):
        found.update(table)
    return found
