/* SPDX-License-Identifier: MIT */
/*
 * The embedded interpreter: which Python environment, start, GIL, fork, end.
 * Nothing in this header needs Python.h. "GIL" at a function says whether the
 * caller holds it. No exception leaves core/py: failures are a cg_error.
 *
 * The room core/py is all that sees Python.h. runtime: the interpreter, errors,
 * references; config: files in Python; compat: gunicorn's objects as hooks see
 * them; request: what an application gets of a request; wsgi and asgi: the two
 * ways to run one; loops: event loops of packages; dirty: the wire of dirty
 * workers and their arbiter's loop; glue: what is written in Python. Sockets,
 * signals' meaning and the decision what a failure costs are left to those who
 * call.
 */
#ifndef CG_PY_INTERP_H
#define CG_PY_INTERP_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct cg_python_choice {
    char exe[4200];     /* the interpreter that sys.executable names */
    char prefix[4200];  /* of the virtual environment, "" if none */
    const char *source; /* how it was found, for messages */
    bool is_given;      /* by whoever starts the program, which would not find
                           it by itself elsewhere */
};

/* embedding 1.3: --python > CGUNICORN_PYTHON > pyvenv.cfg beside the binary >
 * VIRTUAL_ENV > python3 on PATH in a venv > the build's. `option` may be NULL.
 * No GIL; no interpreter needed. */
int cg_python_choose(const char *argv0, const char *option,
                     struct cg_python_choice *ret_choice, struct cg_error *err);
/* Starts the interpreter as `python` would be (embedding 1.2), with our
 * built-in module and the embedded sources in place. GIL held afterwards. */
int cg_python_start(const struct cg_python_choice *choice, int argc,
                    char *const *argv, struct cg_error *err);
/* What `--python` has to say for the program to run in the same Python when
 * somebody else starts it (a service manager, with another environment): a
 * virtual environment or an interpreter. NULL: it finds this one by itself. */
const char *cg_python_to_name(void);
/* Python's build that can run without a GIL. Where this and other headers say
 * "GIL held", the thread is attached to the interpreter then. */
bool cg_python_is_free_threaded(void);
/* Whether there is one now: extensions may turn it on. GIL held, as below. */
bool cg_python_gil_is_on(void);
/* Turns it on for good; an error if the user has turned it off. */
int cg_python_want_gil(struct cg_error *err);
/* Appends the extensions that turned it on: "a, b", as far as known. */
void cg_python_gil_names(struct cg_buf *out);
/* "3.11.2" */
const char *cg_python_version(void);
/* The executable's own interpreter, unless another one is chosen. */
const char *cg_python_of_build(void);

/*
 * Until the program handles INT itself it ends at it. Python's own handler
 * would raise KeyboardInterrupt wherever the start has come to: a traceback at
 * best, swallowed at worst.
 */
void cg_python_end_at_interrupt(void);

/* Releases and takes the GIL of the calling (Python-made) thread around a wait.
 */
void cg_gil_drop(void);
void cg_gil_take(void);
/* The same as enter and leave of struct cg_app_ops. */
void cg_gil_enter(void *unused);
void cg_gil_leave(void *unused);

/* fork() with the interpreter's hooks around it and all signals blocked while
 * it happens (embedding 4.1). In the child, before Python's own hooks,
 * `in_child(self)` runs with signals still blocked: reset handlers there.
 * GIL held; main thread. Returns the pid, 0 in the child, or -errno. */
pid_t cg_python_fork(void (*in_child)(void *self), void *self);

/* Runs Python's signal handlers that are due. GIL held. 0, or -1 when one of
 * them raised SystemExit (*ret_exit has the status); any other exception is
 * logged through the error and gives -2. */
int cg_python_signals(int *ret_exit, struct cg_error *err);

/* gunicorn's names as the configuration may have changed them: the Server
 * field (gunicorn.SERVER) and SERVER_SOFTWARE. Process lifetime. GIL held. */
const char *cg_py_server_field(void);
const char *cg_py_server_software(void);

/* Joins threads, runs atexit, flushes. GIL held; nothing of Python afterwards.
 * Returns 0, or 120 as python(1) when flushing failed. */
int cg_python_finish(void);

/* For the end: TERM, INT, QUIT and USR1 have nobody any more to handle them. */
void cg_python_block_signals(void);

/* For tests: total reference count if the build knows it, else 0. */
long cg_python_refcount(void);

#endif
