/* SPDX-License-Identifier: MIT */
/*
 * What the files of the ASGI bridge share. Nobody else includes this.
 *
 * Three objects belong to one request: the request itself, which is `send`;
 * `receive`; and the drive, a coroutine that goes on with the application's.
 * What the application keeps outlives the exchange: then `ex` is NULL.
 */
#ifndef CG_PY_ASGI_INTERNAL_H
#define CG_PY_ASGI_INTERNAL_H

#include "core/py/runtime/ref.h"

#include <string.h>
#include <structmember.h>

#include "core/http/websocket/handshake.h"
#include "core/http/websocket/websocket.h"
#include "core/py/asgi/asgi.h"
#include "core/py/runtime/held.h"
#include "core/py/wsgi/bridge.h"
#include "logging/limit.h"

#if PY_VERSION_HEX < 0x030A0000
typedef enum {
    PYGEN_RETURN = 0,
    PYGEN_ERROR = -1,
    PYGEN_NEXT = 1,
} PySendResult;
#endif

enum word {
#define WORD(name, text) W_##name,
#include "core/py/asgi/words.def"
#undef WORD
    WORDS
};

enum {
    ROOM_HIGH = 64 * 1024, /* waiting bytes that pause an application */
    ROOM_LOW = 16 * 1024,
    BODY_PART = 256 * 1024, /* of one message to it */
    SPARES = 64             /* objects kept for reuse */
};

typedef struct RequestObject RequestObject;
typedef struct ReceiveObject ReceiveObject;
typedef struct DriveObject DriveObject;
struct websocket;

/* How far the reply is. */
enum reply_state {
    REPLY_NONE,
    REPLY_STARTED,  /* nothing has left yet */
    REPLY_BODY,     /* the head has */
    REPLY_TRAILERS, /* so has the body; its trailers are to come */
    REPLY_COMPLETE
};

struct RequestObject {
    PyObject_HEAD vectorcallfunc vectorcall;
    struct cg_asgi *asgi;
    RequestObject *next, *prev; /* the ring of those that run, or NULL */
    struct cg_exchange *ex;     /* NULL: given back */
    struct websocket *ws;       /* NULL: plain HTTP */
    ReceiveObject *receive;     /* owned */
    PyObject *task;             /* once it has waited; owned */
    PyObject *room_waiter, *input_waiter; /* futures, or NULL */
    PyObject *hooked; /* what pre_request got, for post_request */
    enum reply_state reply;
    uint64_t body_at; /* bytes of a complete body that were given */
    uint64_t since_us;
    uint64_t gone_us;          /* the client left then; 0: it is there */
    struct cg_fields trailers; /* so far */
    char line[160];            /* method and target, once ex is gone */
    uint8_t line_n;
    bool body_given;     /* all of it */
    bool wants_trailers; /* the reply said so */
    bool takes_trailers; /* the client said so */
    bool is_events;      /* a reply of text/event-stream */
    bool in_step;        /* its own coroutine runs */
    bool posted;         /* blocks wait for more */
    bool told;           /* of a disconnection that is ours: the stop */
    bool cancelled;      /* by us, after the client left */
    bool returned;       /* the application has ended */
    bool left;           /* watched for its client's leaving */
};

struct ReceiveObject {
    PyObject_HEAD vectorcallfunc vectorcall;
    RequestObject *request; /* owned */
};

enum drive_state {
    DRIVE_NEW,
    DRIVE_RUN,
    DRIVE_HELD,  /* it holds a future that no task has seen */
    DRIVE_YIELD, /* it holds a bare yield */
    DRIVE_DONE
};

struct DriveObject {
    PyObject_HEAD RequestObject *request; /* owned until it is done */
    PyObject *scope;                      /* until the first step */
    PyObject *coro;                       /* the application's */
    PyObject *held;
    enum drive_state state;
    bool busy; /* somebody is in it */
};

struct cg_asgi {
    struct cg_asgi_options o;
    struct cg_wsgi *wsgi;
    PyObject *app, *module;
    PyObject *loop, *create_future, *create_task, *call_later;
    PyObject *context; /* as it was before the first request */
    PyObject *state;   /* of the lifespan, or NULL */
    PyObject *enter_task, *leave_task, *cancelled_error;
    PyObject *gone_error, *closed_error; /* raised by send() */
    PyTypeObject *request_type, *receive_type, *wait_type, *drive_type,
        *done_type;
    PyTypeObject *task_base, *task_type; /* task_type: once it is lazy */
    Py_ssize_t task_tail;
    bool lazy; /* else each request has a task of create_task's */
    PyObject *done_awaitable;
    PyObject *tick; /* the callable of the timer */
    struct cg_log_limit bad_frames;
    void (*look_after)(RequestObject *r, uint64_t now_us);
    PyObject *word[WORDS];
    PyObject *field_name[CG_FIELD_COUNT];
    struct cg_template *http_scope, *ws_scope; /* one per listener */
    PyObject *asgi_versions;
    PyObject *http_extensions, *trailer_extensions, *ws_extensions;
    RequestObject *first; /* ring of those that run */
    int nrunning;
    RequestObject *spare[SPARES];
    int nspare;
    PyObject *spare_task[SPARES];
    int nspare_task;
    DriveObject *spare_drive[SPARES];
    int nspare_drive;
    char addr_text[46]; /* of the last client, and as a str */
    PyObject *addr;
    struct cg_buf in, out; /* scratch */
    char *rbuf;            /* of WebSockets */
    bool ticking, stopping, closed;
    uint64_t stop_us, half_us;
#ifdef Py_GIL_DISABLED
    unsigned long thread; /* the loop's */
#endif
};

/* What belongs to the loop is used in its thread, as asyncio asks it of
 * everybody. Where there is a GIL that is the application's own business; where
 * there may be none: false with an exception. */
static inline bool
cg_asgi_is_here(const struct cg_asgi *a)
{
#ifdef Py_GIL_DISABLED
    if (PyThread_get_thread_ident() != a->thread) {
        PyErr_SetString(PyExc_RuntimeError,
                        "it is used in another thread than its event loop's");
        return false;
    }
#endif
    return true;
}

static inline PyObject *
word(const struct cg_asgi *a, enum word w)
{
    return a->word[w];
}

/* Whether a str is this ASCII text. Most are told apart by their length. */
static inline bool
cg_text_is(PyObject *text, const char *ascii, size_t n)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        return (size_t)PyUnicode_GET_LENGTH(text) == n &&
               memcmp(PyUnicode_DATA(text), ascii, n) == 0;
    }
    return PyUnicode_CompareWithASCIIString(text, ascii) == 0;
}
#define cg_is_type(type, literal) cg_text_is(type, literal, sizeof(literal) - 1)

/* request.c */
extern PyType_Spec cg_request_spec;
RequestObject *cg_asgi_request_new(struct cg_asgi *a, struct cg_exchange *ex);
void cg_asgi_join(RequestObject *r); /* the ring; it is held there */
void cg_asgi_leave(RequestObject *r);
/* The caller has no use for it any more: kept for another one, if it may be. */
void cg_asgi_drop(RequestObject *r);

/* end.c */
/* The reply is over: logs it, calls post_request, gives the exchange back. */
void cg_asgi_give_back(RequestObject *r);
/* The application has ended; outcome: 0 returned, -1 raised (logged here, or
 * nobody's business), consumes the exception. */
void cg_asgi_finish(RequestObject *r, int outcome);

/* wait.c */
/* Nothing reaches the client any more. */
void cg_asgi_gone(RequestObject *r);
/* What waits for more leaves now: the application sleeps. */
void cg_asgi_flush(RequestObject *r);
/* Asks the engine for what its waiters wait for. Anything that is sent ends
 * that. */
void cg_asgi_watch(RequestObject *r);
/* A future of the loop whose result nobody needs; the old one in *slot is woken
 * first. A new reference for the caller, another one in *slot. */
PyObject *cg_asgi_wait_in(struct cg_asgi *a, PyObject **slot);
void cg_asgi_wake(struct cg_asgi *a, PyObject **slot);
void cg_asgi_wake_all(RequestObject *r);

/* timer.c */
/* The timer's callable. */
PyObject *cg_asgi_timer_new(struct cg_asgi *a);
/* a->look_after is called for each request that runs, once a second. */
void cg_asgi_tick_soon(struct cg_asgi *a);
/* Calls it for each of them; any may leave meanwhile. */
void cg_asgi_each(struct cg_asgi *a, void (*call)(RequestObject *r, uint64_t),
                  uint64_t now);

/* log.c */
void cg_asgi_log_exception(RequestObject *r, const char *what);
void cg_asgi_log(RequestObject *r, enum cg_level level, const char *text);
/* A peer broke the rules of its WebSocket: told with a limit, whose sum is told
 * by the timer. */
void cg_asgi_log_bad_frame(RequestObject *r, const char *fault);
void cg_asgi_log_held_frames(struct cg_asgi *a);
/* For what its application says after the reply. */
void cg_asgi_keep_line(RequestObject *r);
/* What is to be said about an exception; it is consumed. sys.exit() in an
 * application ends a request, not the server. */
void cg_asgi_tell_exception(RequestObject *r);

/* scope.c */
int cg_scope_init(struct cg_asgi *a);
void cg_scope_release(struct cg_asgi *a);
PyObject *cg_scope_new(struct cg_asgi *a, RequestObject *r);

/* send.c */
PyObject *cg_send_http(RequestObject *r, PyObject *message, PyObject *type);
/* The same for the denial of a WebSocket: prefix is "websocket.". */
PyObject *cg_send_call(PyObject *self, PyObject *const *args, size_t nargsf,
                       PyObject *kwnames);
/* The pairs of a message's 'headers', as a list whose reading runs nothing of
 * the application's; that does. NULL with an exception. */
PyObject *cg_message_fields(const struct cg_asgi *a, PyObject *message);
/* Adds them to a reply that was begun. NULL, or what is wrong, and a reference
 * to the name of the field for the caller, which runs nothing. */
const char *cg_send_fields(RequestObject *r, PyObject *fields,
                           PyObject **ret_name);
/* -1, with an exception that shows the name. */
int cg_raise_bad_field(const char *fault, PyObject *name);
PyObject *cg_send_done(struct cg_asgi *a);
/* What a message says under a key; NULL without an exception: nothing. */
PyObject *cg_message_get(const struct cg_asgi *a, PyObject *message,
                         enum word key);

/* receive.c */
extern PyType_Spec cg_receive_spec, cg_wait_spec, cg_done_spec;
PyObject *cg_receive_call(PyObject *self, PyObject *const *args, size_t nargsf,
                          PyObject *kwnames);
PyObject *cg_wait_for_room(RequestObject *r);
PyObject *cg_disconnect_message(struct cg_asgi *a);

/* step.c */
PySendResult cg_coro_send(struct cg_asgi *a, PyObject *coro, PyObject *arg,
                          PyObject **ret);
/* The end of a generator as Python's methods tell it. */
PySendResult cg_step_stopped(PyObject **ret);
/* The method's face of a step's outcome. */
PyObject *cg_step_result(PySendResult what, PyObject *result);
PyObject *cg_raise_args(PyObject *args);

/* drive.c */
extern PyType_Spec cg_drive_spec;
/* Runs the application for r as far as it goes. */
void cg_drive_start(RequestObject *r, PyObject *scope);
/* Those that are kept for reuse. */
void cg_drive_release(struct cg_asgi *a);
/* One step; the same for each Python. */
PySendResult cg_drive_send(PyObject *self, PyObject *arg, PyObject **ret);

/* task.c */
int cg_task_init(struct cg_asgi *a);
/* Again: what the loop does with tasks may have been changed. -1 with an
 * exception. */
int cg_task_choose(struct cg_asgi *a);
void cg_task_release(struct cg_asgi *a);
PyObject *cg_task_take(struct cg_asgi *a, DriveObject *d, PyObject *context);
void cg_task_give(struct cg_asgi *a, PyObject *task);
/* Makes it a task like others; `now`: where Python can, its first step is taken
 * at once. */
int cg_task_settle(PyObject *task, bool now);

/* websocket.c */
struct websocket *cg_websocket_new(RequestObject *r);
void cg_websocket_free(struct websocket *ws);
PyObject *cg_websocket_send(RequestObject *r, PyObject *message,
                            PyObject *type);
/* The next message for the application; NULL without an exception: none yet. */
PyObject *cg_websocket_take(RequestObject *r);
/* Whether the peer takes more. */
bool cg_websocket_has_room(const RequestObject *r);
void cg_websocket_ended(RequestObject *r, bool failed);
void cg_websocket_gone(RequestObject *r);
void cg_websocket_stop(RequestObject *r);
void cg_websocket_tick(RequestObject *r, uint64_t now_us);
bool cg_websocket_is_open(const RequestObject *r);
/* Ends the connection without a word. */
void cg_websocket_cut(RequestObject *r);
/* Asks the engine for what an open one waits for; anything that is sent or
 * read ends that. */
void cg_websocket_watch(RequestObject *r);
/* The engine says that it is worth looking. */
void cg_websocket_ready(RequestObject *r);

#endif
