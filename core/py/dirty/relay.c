/* SPDX-License-Identifier: MIT */
/*
 * The dirty arbiter's loop, and its common case: what has come from a peer is
 * one whole frame which goes on as it is, a call to an idle seat or a seat's
 * reply to its client. Here the bytes are moved; who gets them, and what that
 * changes, the broker decides (core/py/glue/dirty_broker.py). Bytes that are
 * anything else are given to it. Sockets do not block; the GIL is held.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/py/dirty/wire.h"

enum {
    READ_MOST = 64 * 1024, /* bytes of one peer, at once */
    EVENTS_MOST = 64,      /* in a turn */
    LOOK_MS = 200          /* of work until the broker looks at the times */
};

#define NAMES(X)                                                               \
    X(fd)                                                                      \
    X(need)                                                                    \
    X(out)                                                                     \
    X(is_seat)                                                                 \
    X(call)                                                                    \
    X(client)                                                                  \
    X(request)                                                                 \
    X(take_seat)                                                               \
    X(on_part)                                                                 \
    X(on_end)                                                                  \
    X(on_data)                                                                 \
    X(on_event)                                                                \
    X(send)

static struct {
#define X(name) PyObject *name;
    NAMES(X)
#undef X
} word;

int
cg_dirty_relay_fill(void)
{
#define X(name)                                                                \
    if (word.name == NULL &&                                                   \
        (word.name = PyUnicode_InternFromString(#name)) == NULL) {             \
        return -1;                                                             \
    }
    NAMES(X)
#undef X
    return 0;
}

/* Whether an attribute is true; -1 with an exception. */
static int
is(PyObject *o, PyObject *name)
{
    py_auto *value = PyObject_GetAttr(o, name);
    return value != NULL ? PyObject_IsTrue(value) : -1;
}

/* A peer's descriptor; -1 with an exception. */
static int
fd_of(PyObject *peer)
{
    py_auto *value = PyObject_GetAttr(peer, word.fd);
    return value != NULL ? (int)PyLong_AsLong(value) : -1;
}

/* To a peer; what it does not take at once, and what is wrong with it, is the
 * broker's. */
static int
pass(PyObject *broker, PyObject *peer, struct cg_slice data)
{
    int fd = fd_of(peer);
    int waits = fd < 0 ? -1 : is(peer, word.out);
    ssize_t n = 0;
    if (waits < 0) {
        return -1;
    }
    if (waits == 0) {
        n = send(fd, data.p, data.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (n == (ssize_t)data.n) {
        return 0;
    }
    size_t done = n > 0 ? (size_t)n : 0;
    py_auto *rest =
        PyBytes_FromStringAndSize(data.p + done, (Py_ssize_t)(data.n - done));
    py_auto *sent = rest != NULL ? PyObject_CallMethodObjArgs(broker, word.send,
                                                              peer, rest, NULL)
                                 : NULL;
    return sent != NULL ? 0 : -1;
}

/* 1: it is on its way; 0: no seat begins it now. */
static int
pass_call(PyObject *broker, PyObject *client, uint64_t request,
          struct cg_slice data)
{
    py_auto *app = cg_dirty_app_of(data);
    if (app == NULL) {
        return 0;
    }
    py_auto *id = PyLong_FromUnsignedLongLong(request);
    py_auto *seat = id != NULL
                        ? PyObject_CallMethodObjArgs(broker, word.take_seat,
                                                     client, id, app, NULL)
                        : NULL;
    if (seat == NULL) {
        return -1;
    }
    if (seat == Py_None) {
        return 0;
    }
    return pass(broker, seat, data) < 0 ? -1 : 1;
}

/* Whether that is the id of a call. */
static int
is_of(PyObject *call, uint64_t request)
{
    py_auto *id = PyObject_GetAttr(call, word.request);
    unsigned long long n = id != NULL ? PyLong_AsUnsignedLongLong(id) : 0;
    return PyErr_Occurred() != NULL ? -1 : n == request;
}

/* 1: its client has it, or will; 0: it is no reply to a call that is awaited.
 */
static int
pass_reply(PyObject *broker, PyObject *seat, const struct cg_dirty_head *head,
           struct cg_slice data)
{
    py_auto *call = PyObject_GetAttr(seat, word.call);
    if (call == NULL || call == Py_None) {
        return call == NULL ? -1 : 0;
    }
    int r = is_of(call, head->request);
    py_auto *client = r > 0 ? PyObject_GetAttr(call, word.client) : NULL;
    if (client == NULL) {
        return r > 0 ? -1 : r;
    }
    int waits = is(client, word.out);
    if (waits != 0) { /* who reads slowly is the broker's */
        return waits < 0 ? -1 : 0;
    }
    if (pass(broker, client, data) < 0) {
        return -1;
    }
    py_auto *told = PyObject_CallMethodObjArgs(
        broker, head->kind == CG_DIRTY_CHUNK ? word.on_part : word.on_end, seat,
        call, NULL);
    return told != NULL ? 1 : -1;
}

static int
pass_frame(PyObject *broker, PyObject *peer, struct cg_slice data)
{
    struct cg_dirty_head head;
    int waits = is(peer, word.need);
    if (waits != 0 || !cg_dirty_is_frame(data, &head)) {
        return waits < 0 ? -1 : 0;
    }
    int seat = is(peer, word.is_seat);
    if (seat > 0 && head.kind >= CG_DIRTY_RESPONSE &&
        head.kind <= CG_DIRTY_END) {
        return pass_reply(broker, peer, &head, data);
    }
    if (seat == 0 && head.kind == CG_DIRTY_REQUEST) {
        return pass_call(broker, peer, head.request, data);
    }
    return seat < 0 ? -1 : 0;
}

/* None: it was passed on, or nothing has come; else what has come, no bytes at
 * the end. */
static PyObject *
read_peer(PyObject *broker, PyObject *peer, int fd)
{
    char bytes[READ_MOST];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return py_new(Py_None);
    }
    if (n <= 0) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    int r = pass_frame(broker, peer, (struct cg_slice){bytes, (size_t)n});
    if (r != 0) {
        return r < 0 ? NULL : py_new(Py_None);
    }
    return PyBytes_FromStringAndSize(bytes, n);
}

/* ---- the loop's turn ---- */

/* Others (a hook's threads) run meanwhile. */
static int
wait_for(int epoll_fd, struct epoll_event *events, int timeout_ms)
{
    int n;
    Py_BEGIN_ALLOW_THREADS n =
        epoll_wait(epoll_fd, events, EVENTS_MOST, timeout_ms);
    Py_END_ALLOW_THREADS return n;
}

static int
tell(PyObject *broker, PyObject *name, PyObject *a, PyObject *b)
{
    py_auto *told = PyObject_CallMethodObjArgs(broker, name, a, b, NULL);
    return told != NULL ? 0 : -1;
}

static int
on_event(PyObject *broker, PyObject *peers, const struct epoll_event *event)
{
    py_auto *fd = PyLong_FromLong(event->data.fd);
    py_auto *peer = fd != NULL ? py_dict_get(peers, fd) : NULL;
    if (peer == NULL || event->events != EPOLLIN) {
        py_auto *events =
            fd != NULL ? PyLong_FromUnsignedLong(event->events) : NULL;
        return events != NULL && PyErr_Occurred() == NULL
                   ? tell(broker, word.on_event, fd, events)
                   : -1;
    }
    py_auto *data = read_peer(broker, peer, event->data.fd);
    if (data == NULL || data == Py_None) {
        return data == NULL ? -1 : 0;
    }
    return tell(broker, word.on_data, peer, data);
}

/* How many events there were; -1 with an exception. */
static int
turn(PyObject *broker, int epoll_fd, PyObject *peers, int timeout_ms)
{
    struct epoll_event events[EVENTS_MOST];
    int n = wait_for(epoll_fd, events, timeout_ms);
    if (n < 0 && errno != EINTR) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        if (on_event(broker, peers, &events[i]) < 0) {
            return -1;
        }
    }
    return PyErr_CheckSignals() < 0 ? -1 : n < 0 ? 0 : n;
}

static PyObject *
run(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *broker, *peers;
    int epoll_fd, timeout_ms;
    if (!PyArg_ParseTuple(args, "OiO!i", &broker, &epoll_fd, &PyDict_Type,
                          &peers, &timeout_ms)) {
        return NULL;
    }
    int n = turn(broker, epoll_fd, peers, timeout_ms);
    uint64_t until_us = cg_now_us() + LOOK_MS * 1000;
    while (n > 0 && cg_now_us() < until_us) {
        n = turn(broker, epoll_fd, peers, LOOK_MS);
    }
    return n < 0 ? NULL : py_new(Py_None);
}

PyMethodDef cg_dirty_relay_methods[] = {
    {"dirty_run", run, METH_VARARGS,
     "dirty_run(broker, epoll fd, {fd: peer}, timeout in ms): waits and passes "
     "on what is a whole frame, for a while; the rest goes to on_data and "
     "on_event"},
    {NULL, NULL, 0, NULL}};
