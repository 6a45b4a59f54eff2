/* SPDX-License-Identifier: MIT */
/*
 * The dirty arbiter's common case: what has come from a peer is one whole frame
 * which goes on as it is, a call to an idle seat or a seat's reply to its client.
 * Here the bytes are moved; who gets them, and what that changes, the broker
 * decides (core/py/glue/dirty_broker.py). Bytes that are anything else are given
 * to it. Sockets do not block; the GIL is held.
 */
#include <errno.h>
#include <sys/socket.h>

#include "core/py/dirty/wire.h"

enum { READ_MOST = 64 * 1024 }; /* at once; of one peer */

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
    py_auto *rest = PyBytes_FromStringAndSize(data.p + done,
                                              (Py_ssize_t)(data.n - done));
    py_auto *sent = rest != NULL ? PyObject_CallMethodObjArgs(
                                       broker, word.send, peer, rest, NULL)
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
    py_auto *seat =
        id != NULL ? PyObject_CallMethodObjArgs(broker, word.take_seat, client,
                                                id, app, NULL)
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

/* 1: its client has it, or will; 0: it is no reply to a call that is awaited. */
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

static PyObject *
relay(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *broker, *peer;
    if (!PyArg_ParseTuple(args, "OO", &broker, &peer)) {
        return NULL;
    }
    int fd = fd_of(peer);
    if (fd < 0) {
        return NULL;
    }
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

PyMethodDef cg_dirty_relay_methods[] = {
    {"dirty_relay", relay, METH_VARARGS,
     "dirty_relay(broker, peer): passes on one frame that has come -> None; or "
     "what has come, nothing at the end"},
    {NULL, NULL, 0, NULL}};
