/* SPDX-License-Identifier: MIT */
#include "core/worker/slow.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/exchange/queue.h"
#include "core/py/runtime/trace.h"
#include "core/worker/worker.h"

enum {
    LINES = 10,            /* in a second; the rest is counted */
    LOOKS = 50,            /* for a stack: half a second */
    STACK_MOST = 16 * 1024 /* bytes of it that are told */
};

void
cg_slow_start(struct cg_slow_teller *t)
{
    struct cg_error err = {0};
    t->fd = memfd_create("cgunicorn-slow", MFD_CLOEXEC);
    if (t->fd >= 0 && cg_py_trace_thread(t->fd, CG_SLOW_SIGNAL, &err) < 0) {
        cg_log_line(t->log, CG_WARNING, "slow_request: no stacks: %s",
                    err.text);
        cg_fd_close(&t->fd);
    }
}

void
cg_slow_release(struct cg_slow_teller *t)
{
    if (t->fd >= 0) {
        signal(CG_SLOW_SIGNAL, SIG_IGN); /* faulthandler keeps the number */
    }
    cg_fd_close(&t->fd);
}

static bool
may_tell(struct cg_slow_teller *t)
{
    pthread_mutex_lock(&t->lock);
    bool may = cg_log_limit_pass(&t->limit, cg_now_us(), LINES);
    pthread_mutex_unlock(&t->lock);
    return may;
}

void
cg_slow_report(struct cg_slow_teller *t)
{
    pthread_mutex_lock(&t->lock);
    uint64_t held = cg_log_limit_take(&t->limit);
    pthread_mutex_unlock(&t->lock);
    if (held > 0) {
        cg_log_line(t->log, CG_WARNING,
                    "SLOW REQUEST (pid:%d): and %llu more like this",
                    (int)getpid(), (unsigned long long)held);
    }
}

/* ---- text ---- */

static void
put_seconds(struct cg_buf *out, const char *what, uint64_t us)
{
    cg_buf_putf(out, "%s %llu.%03llu s", what,
                (unsigned long long)(us / 1000000),
                (unsigned long long)(us / 1000 % 1000));
}

static void
put_request(struct cg_buf *out, const struct cg_slow_tale *t)
{
    cg_buf_put_escaped(out, t->method, 32);
    cg_buf_putc(out, ' ');
    cg_buf_put_escaped(out, t->target, 1024);
    cg_buf_putf(out, " (from %s",
                t->peer->addr[0] != '\0' ? t->peer->addr : "a unix socket");
    if (t->id.n > 0) {
        cg_buf_puts(out, ", request ");
        cg_buf_put(out, t->id.p, t->id.n);
    }
    put_seconds(out, "): queue", t->queue_us);
    put_seconds(out, ", application", t->app_us);
    put_seconds(out, ", send", t->send_us);
}

static void
put_head(struct cg_buf *out, const struct cg_exchange *ex, uint64_t waited_us)
{
    uint64_t all = cg_now_us() - ex->start_us;
    const struct cg_slow_tale tale = {
        .peer = ex->peer,
        .method = cg_span_of(ex->base, ex->req->method),
        .target = cg_span_of(ex->base, ex->req->target),
        .id = ex->id,
        .queue_us = cg_exchange_queue_us(ex),
        .app_us = all > waited_us ? all - waited_us : 0,
        .send_us = waited_us};
    cg_buf_putf(out, "SLOW REQUEST (pid:%d): ", (int)getpid());
    put_request(out, &tale);
    cg_buf_puts(out, " so far");
}

/* Python's own text, but names in it are the application's. */
static void
put_stack(struct cg_buf *out, const char *text, size_t n)
{
    cg_buf_put_harmless(out, cg_slice_chomp((struct cg_slice){text, n}), "\n");
}

static void
write_line(struct cg_slow_teller *t, const struct cg_buf *text)
{
    cg_log_text(t->log, CG_WARNING, (struct cg_slice){text->p, text->n});
}

/* ---- the stack of a thread ---- */

static void
tell_thread(struct cg_slow_teller *t)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(free) char *stack = cg_malloc(STACK_MOST);
    ssize_t n = t->fd >= 0 ? pread(t->fd, stack, STACK_MOST, 0) : -1;
    put_head(&text, t->of, t->waited_us);
    if (n > 0) {
        cg_buf_putc(&text, '\n');
        put_stack(&text, stack, (size_t)n);
    } else {
        cg_buf_puts(&text, "; its thread gives no stack");
    }
    t->of = NULL;
    write_line(t, &text);
}

/* Nothing came since the last look. */
static bool
is_there(struct cg_slow_teller *t)
{
    struct stat st = {0};
    bool same = fstat(t->fd, &st) == 0 && st.st_size == t->seen;
    t->seen = st.st_size;
    return same && t->seen > 0;
}

static void
begin(struct cg_slow_teller *t, const struct cg_exchange *ex, pthread_t thread)
{
    t->of = ex;
    t->looks = 0;
    t->seen = 0;
    if (ftruncate(t->fd, 0) == 0) {
        lseek(t->fd, 0, SEEK_SET);
    }
    pthread_kill(thread, CG_SLOW_SIGNAL);
}

bool
cg_slow_ask(struct cg_slow_teller *t, const struct cg_exchange *ex,
            pthread_t thread, uint64_t waited_us)
{
    if (t->of == NULL) {
        if (!may_tell(t)) {
            return true;
        }
        t->waited_us = waited_us;
        t->of = ex;
        if (t->fd >= 0) {
            begin(t, ex, thread);
            return false;
        }
    } else if (t->of != ex || (!is_there(t) && ++t->looks < LOOKS)) {
        return false;
    }
    tell_thread(t);
    return true;
}

void
cg_slow_forget(struct cg_slow_teller *t, const struct cg_exchange *ex)
{
    if (t->of == ex) {
        tell_thread(t);
    }
}

/* ---- one that waits, and the end ---- */

void
cg_slow_show(struct cg_slow_teller *t, const struct cg_runner *runner,
             struct cg_exchange *ex, uint64_t waited_us)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(buf) struct cg_buf stack = {0};
    if (!may_tell(t)) {
        return;
    }
    put_head(&text, ex, waited_us);
    if (runner->ops->show != NULL) {
        runner->ops->show(runner->self, ex, &stack);
    }
    if (stack.n > 0) {
        cg_buf_putc(&text, '\n');
        put_stack(&text, stack.p, stack.n < STACK_MOST ? stack.n : STACK_MOST);
    }
    write_line(t, &text);
}

void
cg_slow_tell(struct cg_slow_teller *t, const struct cg_slow_tale *tale)
{
    cg_auto(buf) struct cg_buf text = {0};
    if (!may_tell(t)) {
        return;
    }
    cg_buf_putf(&text, "SLOW REQUEST (pid:%d) ended with %d: ", (int)getpid(),
                tale->status);
    put_request(&text, tale);
    if (tale->unsent > 0) {
        cg_buf_putf(&text, "; %llu bytes of its reply were not taken",
                    (unsigned long long)tale->unsent);
    }
    write_line(t, &text);
}
