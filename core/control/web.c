/* SPDX-License-Identifier: MIT */
#include "core/control/web.h"

#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/http/request.h"
#include "core/http/writer.h"

enum { HEAD_MOST = 16384, PATIENCE_MS = 5000 };

/* A question, and what it gets. */
struct asked {
    const struct cg_web_calls *calls;
    const struct cg_request *req;
    const char *base;
    int status;
    const char *type;
    struct cg_buf body;
};

/* ---- pages ---- */

static void
livez(struct asked *a)
{
    cg_buf_puts(&a->body, "ok\n");
}

static void
readyz(struct asked *a)
{
    bool ready = a->calls->is_ready(a->calls->self);
    a->status = ready ? 200 : 503;
    cg_buf_puts(&a->body, ready ? "ok\n" : "not ready\n");
}

static void
status(struct asked *a)
{
    a->type = "application/json";
    a->calls->put_status(a->calls->self, &a->body);
    cg_buf_putc(&a->body, '\n');
}

static bool
accepts_openmetrics(const struct asked *a)
{
    const struct cg_field *f = cg_request_field(a->req, CG_FIELD_ACCEPT);
    return f != NULL && memmem(a->base + f->value, f->value_n,
                               "application/openmetrics-text", 28) != NULL;
}

static void
metrics(struct asked *a)
{
    struct cg_metrics m = {.out = &a->body, .open = accepts_openmetrics(a)};
    bool workers = cg_slice_is(cg_span_of(a->base, a->req->query), "workers=1");
    a->type = m.open ? "application/openmetrics-text; version=1.0.0; "
                       "charset=utf-8"
                     : "text/plain; version=0.0.4; charset=utf-8";
    a->calls->put_metrics(a->calls->self, &m, workers);
    cg_metrics_end(&m);
}

static const struct {
    const char *path;
    void (*put)(struct asked *a);
} pages[] = {{"/metrics", metrics},
             {"/status", status},
             {"/livez", livez},
             {"/readyz", readyz}};

static void
put_page(struct asked *a)
{
    struct cg_slice path = cg_span_of(a->base, a->req->path);
    for (size_t i = 0; i < CG_COUNT(pages); i++) {
        if (cg_slice_is(path, pages[i].path)) {
            pages[i].put(a);
            return;
        }
    }
    a->status = 404;
    cg_buf_puts(&a->body, "there are /metrics, /status, /livez and /readyz\n");
}

/* ---- replies ---- */

static void
put_reply(const struct asked *a, struct cg_buf *out)
{
    char date[CG_HTTP_DATE_SIZE];
    const struct cg_reply_context context = {.server = "cgunicorn",
                                             .date = date,
                                             .minor = a->req->minor,
                                             .head_request =
                                                 a->req->method_is_head};
    cg_http_date(time(NULL), date);
    cg_small_reply(out, a->status, a->type,
                   (struct cg_slice){a->body.p, a->body.n}, &context);
}

/* One that the reader refuses. */
static void
put_refusal(struct asked *a)
{
    a->status = cg_refusal_status(a->req->refusal);
    cg_refusal_text(a->req, a->base, &a->body);
    cg_buf_putc(&a->body, '\n');
}

static void
put_answer(struct asked *a, enum cg_head_status read)
{
    if (read == CG_HEAD_REFUSED) {
        put_refusal(a);
    } else if (read == CG_HEAD_MORE) {
        a->status = 408;
        cg_buf_puts(&a->body, "the request is not complete\n");
    } else if (!a->req->method_is_get && !a->req->method_is_head) {
        a->status = 405;
        cg_buf_puts(&a->body, "GET or HEAD\n");
    } else if (a->req->chunked || a->req->content_length > 0) {
        a->status = 413;
        cg_buf_puts(&a->body, "a body is not taken\n");
    } else {
        put_page(a);
    }
}

static bool
answer(void *self, int fd, struct cg_slice in, bool last, struct cg_buf *reply)
{
    struct cg_head_policy policy = cg_head_policy_default;
    struct cg_request req = {0};
    policy.limit_head = HEAD_MOST;
    enum cg_head_status read =
        in.n > 0 ? cg_head_read(&req, &policy, false, in.p, in.n)
                 : CG_HEAD_MORE;
    bool done = read != CG_HEAD_MORE || (last && in.n > 0);
    if (done) {
        struct asked a = {.calls = self,
                          .req = &req,
                          .base = in.p,
                          .status = 200,
                          .type = "text/plain; charset=utf-8"};
        put_answer(&a, read);
        put_reply(&a, reply);
        cg_buf_release(&a.body);
    }
    cg_request_release(&req);
    return done;
}

struct cg_desk *
cg_web_new(int listen_fd, const struct cg_web_calls *calls)
{
    const struct cg_desk_kind kind = {
        .answer = answer,
        .self = (void *)(size_t)calls,
        .most_in = HEAD_MOST,
        .patience_ms = PATIENCE_MS,
    };
    return cg_desk_new(listen_fd, &kind);
}
