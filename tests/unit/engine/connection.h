/* SPDX-License-Identifier: MIT */
/*
 * A whole connection: bytes to a running engine over a socket, applications of
 * six kinds behind it, replies read to the end. What comes back must be what
 * the readers alone make of the same bytes: as many replies, in order, with the
 * bodies that the requests had, then the refusal, then the end. For a test of
 * the cases and for a fuzzer; what is wrong ends the process.
 */
#ifndef CG_TESTS_CONNECTION_H
#define CG_TESTS_CONNECTION_H

#include <errno.h>
#include <http_parser.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/engine/exchange/wire.h"
#include "core/engine/state.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/engine/fake_host.h"
#include "tests/unit/http/stream.h"

enum { BIG = 300000, CUT = 1000, PIECES = 3 };
enum kind { WHOLE, IN_PIECES, HELD, FROM_FILE, CLOSING, CUT_SHORT, KINDS };

static char big[BIG];
static int big_fd;
static struct cg_listener listener;
static struct fake_host fake;

/* ---- the application ---- */

static const struct cg_wire *
wire_of(const struct cg_exchange *ex)
{
    return ((const struct cg_call *)(const void *)ex)->wire;
}

static enum kind
kind_of(char first)
{
    return (enum kind)((unsigned char)first % KINDS);
}

static uint32_t
sum_of(const struct cg_body *body)
{
    if (body->p != NULL || body->n == 0) {
        return stream_sum(body->p, (size_t)body->n);
    }
    cg_auto(free) char *p = cg_malloc((size_t)body->n);
    EXPECT(pread(body->fd, p, (size_t)body->n, 0) == (ssize_t)body->n,
           "a body that cannot be read");
    return stream_sum(p, (size_t)body->n);
}

/* A head with a length, then `n` bytes at p, which belong to `owner`. */
static void
send_length(struct cg_exchange *ex, const char *p, size_t n, void *owner)
{
    char head[64];
    int head_n = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    struct iovec parts[2] = {{head, (size_t)head_n}, {(void *)(size_t)p, n}};
    wire_of(ex)->send(ex, parts, ex->req->method_is_head ? 1 : 2, owner);
}

static void
send_pieces(struct cg_exchange *ex, char *p, size_t n)
{
    char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    char size[16], end[] = "\r\n", last[] = "0\r\n\r\n";
    struct iovec part = {head, sizeof head - 1};
    wire_of(ex)->send(ex, &part, 1, NULL);
    for (size_t at = 0; !ex->req->method_is_head && at < n; at += PIECES) {
        size_t give = n - at < PIECES ? n - at : PIECES;
        int size_n = snprintf(size, sizeof size, "%zx\r\n", give);
        struct iovec parts[3] = {
            {size, (size_t)size_n}, {p + at, give}, {end, 2}};
        wire_of(ex)->send(ex, parts, 3, NULL);
    }
    part = (struct iovec){last, sizeof last - 1};
    if (!ex->req->method_is_head) {
        wire_of(ex)->send(ex, &part, 1, NULL);
    }
}

static void
send_from_file(struct cg_exchange *ex)
{
    char head[64];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    struct iovec part = {head, (size_t)n};
    wire_of(ex)->send_file(ex, &part, 1, big_fd, 0,
                           ex->req->method_is_head ? 0 : BIG);
}

static void
run(void *self, struct cg_exchange *ex)
{
    struct cg_slice target = cg_span_of(ex->base, ex->req->target);
    enum kind kind = kind_of(target.n > 1 ? target.p[1] : '\0');
    char text[64];
    int n = snprintf(text, sizeof text, "%llu %u",
                     (unsigned long long)ex->body.n, sum_of(&ex->body));
    ex->keep = ex->may_keep && kind != CLOSING;
    ex->status = 200;
    switch (kind) {
    case WHOLE:
    case CLOSING: send_length(ex, text, (size_t)n, NULL); break;
    case IN_PIECES: send_pieces(ex, text, (size_t)n); break;
    case HELD: send_length(ex, big, BIG, big); break;
    case FROM_FILE: send_from_file(ex); break;
    case CUT_SHORT: {
        char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc";
        size_t body_n = ex->req->method_is_head ? 0 : 3;
        struct iovec part = {head, sizeof head - 1 - 3 + body_n};
        wire_of(ex)->send(ex, &part, 1, NULL);
        ex->broken = true;
        ex->keep = false;
        break;
    }
    case KINDS: break;
    }
}

static void
on_refused(void *self, const struct cg_refused *why)
{
    EXPECT(why->message.n < 1024, "a message of %zu bytes", why->message.n);
}

static void
on_trouble(void *self, const char *text)
{
    EXPECT(false, "%s", text);
}

/* ---- the server ---- */

static void *
serve(void *arg)
{
    struct cg_engine *e = arg;
    fake_enter(&fake);
    cg_engine_run(e, cg_executor_new(e, 1));
    EXPECT(false, "the engine ended");
    return NULL;
}

static void
start_server(void)
{
    static struct cg_engine_config config;
    static struct cg_trust *nobody;
    static const char *const none[] = {NULL};
    const struct cg_listener_options o = {.backlog = 16, .uid = -1, .gid = -1};
    struct cg_scoreboard *board = cg_scoreboard_new(1, 0);
    struct cg_error err = {0};
    struct cg_engine *e;
    struct cg_addr addr;
    pthread_t thread;
    cg_auto(free) char *name = cg_strf("unix:@fuzz_connection.%d", getpid());
    signal(SIGPIPE, SIG_IGN);
    EXPECT(cg_addr_parse(name, &addr, &err) == 0 &&
               cg_listener_open(&addr, &o, &listener, &err) == 0 &&
               cg_trust_new(none, &nobody, &err) == 0,
           "%s", err.text);
    const uint64_t hour_us = 3600 * 1000000ull;
    config = (struct cg_engine_config){
        .intake = {.head = &cg_head_policy_default,
                   .max_body = UINT64_MAX,
                   .body_memory = 200},
        .trust = nobody,
        .server = "fuzz",
        .first_timeout_us = hour_us,
        .header_timeout_us = hour_us,
        .body_timeout_us = hour_us,
        .write_timeout_us = hour_us,
        .keepalive_us = hour_us,
        .max_keepalive_requests = UINT32_MAX,
        .proxy_mode = CG_PROXY_AUTO,
        .proxy_trust = nobody,
        .max_connections = 10,
        .max_open = 10,
    };
    cg_slot_claim(board, cg_board_slot(board, 0), 1, 1);
    fake_host_init(&fake, run, NULL);
    fake.host.refused = on_refused;
    fake.host.trouble = on_trouble;
    EXPECT(cg_engine_new(&config, &fake.host, &fake.runner, &listener, 1, board,
                         cg_board_slot(board, 0), &e, &err) == 0,
           "%s", err.text);
    EXPECT(pthread_create(&thread, NULL, serve, e) == 0, "no thread");
}

static void
start_once(void)
{
    static bool started;
    if (!started) {
        for (int i = 0; i < BIG; i++) {
            big[i] = (char)('a' + i % 26);
        }
        big_fd = memfd_create("big", MFD_CLOEXEC);
        EXPECT(write(big_fd, big, BIG) == BIG, "no file");
        start_server();
        started = true;
    }
}

/* ---- the client ---- */

/* Sends the bytes in pieces and reads until the end. */
static struct cg_buf
talk(struct fuzz_input in, uint32_t seed)
{
    struct cg_buf got = {0};
    cg_auto(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(connect(fd, (const struct sockaddr *)&listener.name,
                   listener.name_n) == 0,
           "%s", strerror(errno));
    while (in.n > 0) {
        seed = seed * 1664525 + 1013904223;
        size_t n = seed >> 31 ? in.n : 1 + (seed >> 16) % 500;
        n = n < in.n ? n : in.n;
        ssize_t sent = send(fd, in.p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) { /* the fuzzer has an alarm clock */
            break;                        /* refused or cut already */
        }
        in.p += sent > 0 ? sent : 0;
        in.n -= sent > 0 ? (size_t)sent : 0;
    }
    shutdown(fd, SHUT_WR);
    for (ssize_t n = 1; n > 0 || (n < 0 && errno == EINTR);) {
        n = recv(fd, cg_buf_reserve(&got, 65536), 65536, 0);
        got.n += n > 0 ? (size_t)n : 0;
    }
    return got;
}

/* ---- the judge ---- */

struct reply {
    unsigned status;
    bool done;
    struct cg_buf body;
};

static int
on_body(http_parser *hp, const char *p, size_t n)
{
    cg_buf_put(&((struct reply *)hp->data)->body, p, n);
    return 0;
}

static int
on_head_of_head(http_parser *hp)
{
    return 1; /* no body follows */
}

static int
on_done(http_parser *hp)
{
    ((struct reply *)hp->data)->done = true;
    http_parser_pause(hp, 1);
    return 0;
}

/* The next final reply; what it is made of leaves *got. */
static struct reply
next_reply(struct cg_slice *got, bool is_head)
{
    struct reply r = {0};
    http_parser_settings callbacks = {.on_body = on_body,
                                      .on_headers_complete =
                                          is_head ? on_head_of_head : NULL,
                                      .on_message_complete = on_done};
    do {
        http_parser hp;
        r.done = false;
        http_parser_init(&hp, HTTP_RESPONSE);
        hp.data = &r;
        size_t used = http_parser_execute(&hp, &callbacks, got->p, got->n);
        enum http_errno code = HTTP_PARSER_ERRNO(&hp);
        EXPECT(code == HPE_OK || code == HPE_PAUSED, "%s in\n%.*s",
               http_errno_description(code), (int)got->n, got->p);
        r.status = hp.status_code;
        got->p += used;
        got->n -= used;
    } while (r.done && r.status == 100);
    return r;
}

/* Returns whether the connection goes on behind it. */
static bool
judge_one(const struct stream_request *q, struct cg_slice *got)
{
    enum kind kind = kind_of(q->first);
    char want[64];
    int n = snprintf(want, sizeof want, "%llu %u",
                     (unsigned long long)q->body_n, q->body_sum);
    struct reply r = next_reply(got, q->is_head);
    /* of a reply that is cut short, what waits for the client is dropped */
    EXPECT(r.status == 200 || (r.status == 0 && kind == CUT_SHORT), "status %u",
           r.status);
    EXPECT(r.done || kind == CUT_SHORT, "a reply without its end");
    if (kind == HELD || kind == FROM_FILE) {
        EXPECT(q->is_head || (r.body.n == BIG && !memcmp(r.body.p, big, BIG)),
               "%zu bytes of another body", r.body.n);
    } else if (kind != CUT_SHORT && !q->is_head) {
        EXPECT(r.body.n == (size_t)n && !memcmp(r.body.p, want, r.body.n),
               "'%.*s' in place of '%s'", (int)r.body.n, r.body.p, want);
    }
    cg_buf_release(&r.body);
    return kind != CUT_SHORT && kind != CLOSING;
}

static void
judge(const struct stream *s, struct cg_slice got)
{
    bool goes_on = true;
    for (int i = 0; goes_on && i < s->ndone; i++) {
        goes_on = judge_one(&s->done[i], &got);
    }
    /* the client ends its side behind its last byte */
    int refused = s->state == INPUT_BODY ? 400 : s->refused;
    if (goes_on && refused != 0) {
        struct reply r = next_reply(&got, false);
        EXPECT(r.status == (unsigned)refused, "%u in place of %d", r.status,
               refused);
        cg_buf_release(&r.body);
    }
    /* a 100 may be the last thing that a peer hears */
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    EXPECT(got.n == 0 || cg_slice_is(got, interim), "and then\n%.*s",
           (int)got.n, got.p);
}

/* Sends the bytes as the seed says and judges what comes back. */
static inline void
connection_check(struct fuzz_input in, uint32_t seed)
{
    static struct stream s;
    start_once();
    s = (struct stream){.policy = &cg_head_policy_default,
                        .trusted = true,
                        .proxy = CG_PROXY_AUTO};
    stream_feed(&s, in.p, in.n);
    struct cg_buf got = talk(in, seed);
    judge(&s, (struct cg_slice){got.p, got.n});
    cg_buf_release(&got);
    stream_release(&s);
}

#endif
