/* SPDX-License-Identifier: MIT */
#include "core/worker/warmup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/runtime/interp.h"
#include "core/worker/host.h"

enum {
    DEFAULT_MS = 30 * 1000, /* for an answer when `timeout` is 0 */
    STATUS_AT = 9           /* of "HTTP/1.1 200" */
};

struct cg_warmup {
    const struct cg_host_run *run;
    struct cg_engine *engine;
    void (*done)(void *self, const char *wrong);
    void *self;
    pthread_t thread;
    int patience_ms;      /* for one answer */
    pthread_mutex_t lock; /* of what follows */
    int fd;               /* our end; -1: there is none now */
    bool is_ended;        /* the engine is over */
};

/* ---- what is asked ---- */

/* Of "/path" or "https://host/path"; slices of the text. */
struct target {
    struct cg_slice host, path;
    bool is_secure;
};

static struct target
target_of(const char *text)
{
    struct target t = {.host = {"localhost", sizeof "localhost" - 1}};
    const char *mark = strstr(text, "://");
    if (*text == '/' || mark == NULL) {
        t.path = (struct cg_slice){text, strlen(text)};
        return t;
    }
    const char *host = mark + sizeof "://" - 1;
    t.is_secure = strncmp(text, "https:", sizeof "https:" - 1) == 0;
    t.host = (struct cg_slice){host, strcspn(host, "/")};
    t.path = (struct cg_slice){host + t.host.n, strlen(host + t.host.n)};
    if (t.path.n == 0) {
        t.path = (struct cg_slice){"/", 1};
    }
    return t;
}

/* The engine believes its own worker what it would believe a proxy. */
static void
put_request(struct cg_buf *b, const char *text)
{
    const struct target t = target_of(text);
    cg_buf_putf(b,
                "GET %.*s HTTP/1.1\r\nHost: %.*s\r\n%s"
                "User-Agent: cgunicorn-warmup\r\nAccept: */*\r\n"
                "Connection: close\r\n\r\n",
                (int)t.path.n, t.path.p, (int)t.host.n, t.host.p,
                t.is_secure ? "X-Forwarded-Proto: https\r\n" : "");
}

/* ---- what is answered ---- */

struct answer {
    char head[16]; /* as much of it as says the status */
    size_t n;
};

static int
status_of(const struct answer *a)
{
    return a->n < sizeof a->head ? 0 : atoi(a->head + STATUS_AT);
}

/* 1: more may come, 0: it was all, or -errno. */
static int
read_some(int fd, int patience_ms, struct answer *a)
{
    char bytes[8192];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int r = poll(&p, 1, patience_ms);
    if (r <= 0) {
        return r == 0 ? -ETIMEDOUT : errno == EINTR ? 1 : -errno;
    }
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0) {
        return errno == EINTR ? 1 : -errno;
    }
    size_t room = sizeof a->head - a->n;
    size_t more = (size_t)n < room ? (size_t)n : room;
    memcpy(a->head + a->n, bytes, more);
    a->n += more;
    return n > 0;
}

/* Its status; 0: none came; -ETIMEDOUT. Interim answers are not asked for. */
static int
read_answer(int fd, int patience_ms)
{
    struct answer a = {.n = 0};
    uint64_t end_us = cg_now_us() + (uint64_t)patience_ms * 1000;
    int r = 1;
    while (r > 0) {
        uint64_t now_us = cg_now_us();
        int left_ms = now_us < end_us ? (int)((end_us - now_us) / 1000) : 0;
        r = read_some(fd, left_ms, &a);
    }
    return r == -ETIMEDOUT ? r : status_of(&a);
}

/* ---- asking ---- */

/* The one that an end shuts down. */
static void
set_fd(struct cg_warmup *w, int fd)
{
    pthread_mutex_lock(&w->lock);
    w->fd = fd;
    if (fd >= 0 && w->is_ended) {
        shutdown(fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&w->lock);
}

static bool
is_ended(struct cg_warmup *w)
{
    pthread_mutex_lock(&w->lock);
    bool ended = w->is_ended;
    pthread_mutex_unlock(&w->lock);
    return ended || cg_engine_is_stopping(w->engine);
}

/* The other end is the engine's. -errno: there is none. */
static int
make_pair(struct cg_warmup *w)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    cg_fd_set_nonblock(pair[1]);
    cg_engine_offer(w->engine, pair[1]);
    return pair[0];
}

/* NULL, or what is wrong, in `text`. */
static const char *
ask(struct cg_warmup *w, const char *target, char *text, size_t size)
{
    cg_auto(buf) struct cg_buf request = {0};
    uint64_t from_us = cg_now_us();
    put_request(&request, target);
    int fd = make_pair(w);
    if (fd < 0) {
        snprintf(text, size, "warmup: no pair of sockets: %s", strerror(-fd));
        return text;
    }
    set_fd(w, fd);
    ssize_t n = send(fd, request.p, request.n, MSG_NOSIGNAL);
    int status = n == (ssize_t)request.n ? read_answer(fd, w->patience_ms) : 0;
    double seconds = (double)(cg_now_us() - from_us) / 1e6;
    set_fd(w, -1);
    close(fd);
    if (status == 400) {
        cg_log_line(w->run->start->log, CG_WARNING,
                    "Warm-up: %s was answered with 400: when that is since its "
                    "host is none of the application's, nothing was loaded by "
                    "it; name a URL, such as https://shop.example/ready",
                    target);
        return NULL;
    }
    if (status >= 100 && status < 500) {
        cg_log_line(w->run->start->log, CG_INFO,
                    "Warm-up: %s was answered with %d in %.3f s (pid: %d)",
                    target, status, seconds, (int)getpid());
        return NULL;
    }
    if (status == -ETIMEDOUT) {
        snprintf(text, size, "warmup: %s was not answered within %d s", target,
                 w->patience_ms / 1000);
    } else if (status <= 0) {
        snprintf(text, size, "warmup: %s got no answer", target);
    } else {
        snprintf(text, size, "warmup: %s was answered with %d", target, status);
    }
    return text;
}

static void *
warmup_main(void *arg)
{
    struct cg_warmup *w = arg;
    const struct cg_value *v =
        cg_settings_value(w->run->start->settings, CG_warmup);
    char text[700];
    const char *wrong = NULL;
    for (size_t i = 0; wrong == NULL && i < v->list.n; i++) {
        wrong = ask(w, v->list.items[i].s, text, sizeof text);
        if (is_ended(w)) {
            return NULL;
        }
    }
    if (wrong == NULL) {
        cg_engine_admit(w->engine);
    }
    w->done(w->self, wrong);
    return NULL;
}

/* ---- its life ---- */

void
cg_warmup_say_none(const struct cg_host_run *run)
{
    const struct cg_settings *s = run->start->settings;
    if (cg_settings_value(s, CG_warmup)->list.n > 0) {
        cg_log_line(run->start->log, CG_WARNING,
                    "warmup has no effect with the worker class %s, which "
                    "serves by itself",
                    cg_settings_worker_class(s));
    }
}

static int
start_thread(struct cg_warmup *w, struct cg_error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int failure = pthread_create(&w->thread, NULL, warmup_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failure == 0
               ? 0
               : cg_error_set(err, failure, "warmup: cannot start a thread: %s",
                              strerror(failure));
}

int
cg_warmup_start(const struct cg_host_run *run, struct cg_engine *engine,
                void (*done)(void *self, const char *wrong), void *self,
                struct cg_warmup **ret, struct cg_error *err)
{
    const struct cg_settings *s = run->start->settings;
    int64_t timeout_s = (int64_t)cg_settings_int(s, CG_timeout);
    *ret = NULL;
    if (cg_settings_value(s, CG_warmup)->list.n == 0) {
        done(self, NULL);
        return 0;
    }
    struct cg_warmup *w = cg_calloc(1, sizeof *w);
    w->run = run;
    w->engine = engine;
    w->done = done;
    w->self = self;
    w->patience_ms = timeout_s > 0 && timeout_s < INT32_MAX / 1000
                         ? (int)timeout_s * 1000
                         : DEFAULT_MS;
    w->fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    cg_engine_hold(engine);
    int r = start_thread(w, err);
    if (r < 0) {
        pthread_mutex_destroy(&w->lock);
        free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void
cg_warmup_end(struct cg_warmup *w)
{
    if (w == NULL) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->is_ended = true;
    if (w->fd >= 0) {
        shutdown(w->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&w->lock);
    cg_gil_drop();
    pthread_join(w->thread, NULL);
    cg_gil_take();
    pthread_mutex_destroy(&w->lock);
    free(w);
}
