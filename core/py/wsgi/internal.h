/* SPDX-License-Identifier: MIT */
/* What the files of the WSGI bridge share. Nobody else includes this. */
#ifndef CG_PY_WSGI_INTERNAL_H
#define CG_PY_WSGI_INTERNAL_H

#include "core/py/runtime/ref.h"

#include "core/http/reply.h"
#include "core/py/wsgi/wsgi.h"

enum { NAME_CACHE = 256, COMMON_MAX = 200, KITS = 64 };

/* A field name that has no identity of its own, and its environ key. */
struct cg_cached_name {
    char *name; /* lower case as received; owned */
    size_t n;
    PyObject *key;
};

/* A request under way that has a limit of time; see wsgi_late.c. */
struct cg_late_link {
    struct cg_late_link *next, *prev;
    unsigned long thread;
    PyObject *greenlet; /* that it runs in; owned, NULL without greenlets */
    bool told;          /* RequestTimeout was raised */
    bool pending;       /* or will be, by PyThreadState_SetAsyncExc */
    bool traced;        /* or will be, at the thread's next line */
};

/*
 * Exchange: wsgi.input, and what start_response and write are bound to. One is
 * reused from request to request as long as nobody else holds it.
 */
typedef struct {
    PyObject_HEAD struct cg_wsgi *wsgi;
    struct cg_exchange *ex; /* NULL once the request is over */
    /* weak: the kit's, valid while ex is set */
    PyObject *write, *early_hints, *socket;

    /* input */
    uint64_t pos;
    char *window; /* a part of a body that lies in a file, for readline */
    uint64_t window_at;
    size_t window_n;
    struct cg_buf in; /* streaming: what came and was not read yet */
    size_t in_at;     /* first byte of it */
    bool reading; /* a thread waits for a client or a disk, without the GIL */
    bool parked;  /* a greenlet waits for a client; its loop wakes it */

    /* reply */
    bool failed;   /* the peer is gone */
    bool enough;   /* no more bytes of the body are of use */
    bool handled;  /* nothing is to be answered or logged */
    bool draining; /* a thread waits for the reader, without the GIL */
    bool over;     /* the reply is: nobody writes any more */
    struct cg_late_link late;
} ExchangeObject;

/* wsgi.file_wrapper */
typedef struct {
    PyObject_HEAD PyObject *filelike;
    Py_ssize_t blksize;
} FileObject;

/* An exchange and its bound methods, made once. */
struct cg_kit {
    PyObject *exchange, *start_response, *write, *early_hints, *socket;
};

struct cg_wsgi {
    const struct cg_wsgi_options *o;
    int pid; /* this worker's */
    PyObject *app;
    PyTypeObject *exchange_type, *file_type, *errors_type, *socket_type;
    PyObject **base_environ; /* a template per listener */
    PyObject *field_key[CG_FIELD_COUNT];
    PyObject
        *last_value[CG_FIELD_COUNT]; /* of the last request; see environ.c */
    struct cg_cached_name names[NAME_CACHE];
    struct cg_kit kits[KITS]; /* those that are not in use */
    int nkits;
    struct cg_late_link late_ring; /* when there is a limit */
    PyObject *timeout_type, *current;
    bool python_access;  /* a Python logger has the access lines */
    PyObject *last_addr; /* REMOTE_ADDR of the last request */
    /* interned keys and values */
    PyObject *k_method, *k_path, *k_query, *k_raw_uri, *k_protocol, *k_scheme,
        *k_input, *k_addr, *k_port, *k_script, *k_socket, *k_server_name,
        *k_server_port, *k_close, *k_early_hints, *v_https, *v_http10, *k_https,
        *v_on, *k_tls_protocol, *k_tls_cipher;
};

/* wsgi.c: an exchange as logs and hooks want it, for a host that does not run
 * WSGI. NULL with an exception. Given before the exchange is. */
ExchangeObject *cg_kit_take(struct cg_wsgi *w, struct cg_exchange *ex,
                            struct cg_kit *kit);
void cg_kit_give(struct cg_wsgi *w, struct cg_kit *kit);

/* environ.c: NULL with an exception; -1 likewise. */
int cg_environ_init(struct cg_wsgi *w);
void cg_environ_release(struct cg_wsgi *w);
PyObject *cg_environ_new(struct cg_wsgi *w, ExchangeObject *x);

/* input_stream.c: the same calls for a body that is still coming */
PyObject *cg_stream_read(ExchangeObject *x, uint64_t size);
PyObject *cg_stream_line(ExchangeObject *x, uint64_t max);
/* Ends reads of other threads, then forgets what was left. */
void cg_stream_release(ExchangeObject *x);

/* input.c */
extern PyMethodDef cg_input_methods[];
PyObject *cg_input_iternext(PyObject *self);
/* Waits for a read of another thread, then forgets what was read. After the
 * end, when x->ex is NULL. */
void cg_input_release(ExchangeObject *x);

/* wsgi_reply.c */
PyObject *cg_start_response(PyObject *self, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames);
PyObject *cg_write(PyObject *self, PyObject *data);
/* The latin-1 bytes of a str, borrowed from it. */
int cg_latin1_view(PyObject *o, const char *what, struct cg_slice *ret);
/* Sends one item (bytes). last: nothing follows. -1 with an exception. */
int cg_reply_item(ExchangeObject *x, PyObject *item, bool last);
/* Ends the body, if that was not said yet. -1 with an exception. */
int cg_reply_end(ExchangeObject *x);
/* A thread of the application's may wait for the reader in the middle of a
 * write: before anything else is done with the reply, and before the exchange
 * goes. Other Python may run meanwhile. */
void cg_reply_wait_turn(ExchangeObject *x);

static inline void
cg_reply_turn(ExchangeObject *x)
{
    if (__builtin_expect(x->draining, 0)) {
        cg_reply_wait_turn(x);
    }
}

/* wsgi_hints.c */
PyObject *cg_early_hints(PyObject *self, PyObject *headers);

/* wsgi_file.c: 1 sent, 0 cannot be sent so (iterate), -1 exception. */
int cg_reply_file(ExchangeObject *x, PyObject *wrapper);
extern PyType_Spec cg_file_spec;

/* wsgi_late.c; begin and end only when there is a limit */
int cg_late_init(struct cg_wsgi *w);
void cg_late_release(struct cg_wsgi *w);
void cg_late_begin(ExchangeObject *x);
void cg_late_end(ExchangeObject *x);
/* It is late and ends by itself, since nothing that it sends goes anywhere:
 * what it does for that is not interrupted. */
void cg_late_spare(ExchangeObject *x);
bool cg_late_is_answered(const ExchangeObject *x);

/* wsgi_log.c */
void cg_wsgi_log_access(ExchangeObject *x, PyObject *environ);
/* Logs the pending exception with its traceback and clears it. */
void cg_wsgi_log_exception(ExchangeObject *x, const char *what);

/* wsgi_hooks.c: `req`; the hook's call (-1 with an exception); what it changed
 * of req goes into environ; post_request, whose exceptions are logged. */
PyObject *cg_request_object(ExchangeObject *x);
PyObject *cg_response_object(ExchangeObject *x, PyObject *req);
int cg_call_pre_request(ExchangeObject *x, PyObject *req);
int cg_environ_follow(ExchangeObject *x, PyObject *environ, PyObject *req);
void cg_call_post_request(ExchangeObject *x, PyObject *req, PyObject *environ);

/* wsgi_types.c: heap types of the bridge; 0 or -1 with an exception */
int cg_wsgi_types_init(struct cg_wsgi *w);
PyObject *cg_errors_new(struct cg_wsgi *w);
PyObject *cg_socket_new(struct cg_wsgi *w, ExchangeObject *x);
/* Whether nobody looked at it yet. */
bool cg_socket_is_fresh(PyObject *socket);

#endif
