/* SPDX-License-Identifier: MIT */
#include "tests/unit/engine/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"

enum { LIMIT_S = 30 };

static char big[BIG];

/* ---- the host ---- */

void
app_enter(void *self)
{
    fake_enter(&((struct worker *)self)->fake);
}

void
app_leave(void *self)
{
    fake_leave(&((struct worker *)self)->fake);
}

static void
block(struct worker *k)
{
    struct world *w = k->world;
    app_leave(k); /* as time.sleep does */
    pthread_mutex_lock(&w->lock);
    atomic_fetch_add(&k->blocked, 1);
    while (!w->open) {
        pthread_cond_wait(&w->changed, &w->lock);
    }
    atomic_fetch_sub(&k->blocked, 1);
    pthread_mutex_unlock(&w->lock);
    app_enter(k);
}

static void
put_line(struct worker *k, const struct cg_exchange *ex)
{
    atomic_fetch_add(&k->fake.lines, 1);
    if (!cg_exchange_leads(ex)) {
        fake_write_lines(&k->fake);
    }
}

static void
answer(struct worker *k, struct cg_exchange *ex, const char *body, size_t n,
       void *owner)
{
    char head[128];
    int head_n = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    struct iovec parts[2] = {{head, (size_t)head_n}, {(void *)(size_t)body, n}};
    ex->status = 200;
    ex->sent = n;
    wire_of(ex)->send(ex, parts, 2, owner);
    put_line(k, ex);
    atomic_fetch_add(&k->ran, 1);
}

static void
send_text(struct cg_exchange *ex, const char *text)
{
    struct iovec part = {(void *)(size_t)text, strlen(text)};
    wire_of(ex)->send(ex, &part, 1, NULL);
}

/* From a bit less than the limit to a bit more. */
static void
sleep_about(struct worker *k)
{
    long us = (long)k->world->limit_us - 300 + atomic_load(&k->ran) % 32 * 20;
    const struct timespec t = {.tv_nsec = us * 1000};
    app_leave(k);
    nanosleep(&t, NULL);
    app_enter(k);
}

static void
answer_half(struct worker *k, struct cg_exchange *ex)
{
    ex->status = 200;
    send_text(ex, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    block(k);
    send_text(ex, "rest");
    atomic_fetch_add(&k->ran, 1);
}

static void
run(void *self, struct cg_exchange *ex)
{
    struct worker *k = self;
    struct cg_slice path = cg_span_of(ex->base, ex->req->path);
    char body[64];
    int n;
    ex->keep = ex->may_keep;
    if (cg_slice_is(path, "/block")) {
        block(k);
    } else if (cg_slice_is(path, "/own")) {
        k->world->own(k, ex);
        atomic_fetch_add(&k->ran, 1);
        return;
    } else if (cg_slice_is(path, "/big")) {
        answer(k, ex, big, sizeof big, big);
        return;
    } else if (cg_slice_is(path, "/half")) {
        answer_half(k, ex);
        return;
    } else if (cg_slice_is(path, "/hints")) {
        send_text(ex, "HTTP/1.1 103 Early Hints\r\n\r\n");
        block(k);
    } else if (cg_slice_is(path, "/whole")) {
        answer(k, ex, "ok 0", 4, NULL);
        cg_limit_sent(ex);
        block(k);
        return;
    } else if (cg_slice_is(path, "/about")) {
        sleep_about(k);
    } else if (cg_slice_is(path, "/take")) {
        struct cg_slice unread;
        int fd = cg_exchange_take_over(ex, &unread);
        ck_assert_int_ge(fd, 0);
        close(fd);
        block(k);
    } else if (cg_slice_is(path, "/close")) {
        ex->keep = false;
    }
    if (ex->body.n > 0) {
        n = snprintf(body, sizeof body, "body %llu",
                     (unsigned long long)ex->body.n);
    } else {
        n = snprintf(body, sizeof body, "ok %d", k->number);
    }
    answer(k, ex, body, (size_t)n, NULL);
}

static void
stalled(void *self, const struct cg_stalled *what)
{
    ck_assert_uint_le(what->sent, what->of);
    fake_stalled(self, what);
}

static void
overdue(void *self, const struct cg_exchange *ex, size_t page_n)
{
    ck_assert(cg_exchange_late(ex) != CG_LATE_NO);
    fake_overdue(self, ex, page_n);
}

static void *thread_main(void *arg);

static void
start_thread(struct worker *k)
{
    int i = k->nthreads++;
    k->executors[i] = cg_executor_new(k->engine, i + 1);
    ck_assert_int_eq(
        pthread_create(&k->threads[i], NULL, thread_main, k->executors[i]), 0);
}

/* ---- threads ---- */

static struct world *the_world;

static struct worker *
worker_with(const struct cg_executor *x)
{
    for (int i = 0; i < the_world->nworkers; i++) {
        struct worker *k = &the_world->worker[i];
        for (int j = 0; j < THREADS; j++) {
            if (k->executors[j] == x) {
                return k;
            }
        }
    }
    abort();
}

static void *
thread_main(void *arg)
{
    struct worker *k = worker_with(arg);
    app_enter(k);
    if (k->config.max_executors > 1) {
        if (!cg_engine_join(k->engine, arg)) {
            atomic_fetch_add(&k->surplus, 1);
        }
    } else {
        cg_engine_run(k->engine, arg);
    }
    app_leave(k);
    return NULL;
}

/* ---- the world ---- */

/* Its lock can be had at once. */
static void
prove(void *self)
{
    struct fake_host *f = self;
    struct worker *k = f->self;
    atomic_fetch_add(&f->proved, 1);
    cg_engine_proved(k->engine);
}

static void
init_worker(struct world *w, int number, int threads, int most)
{
    struct worker *k = &w->worker[number];
    struct cg_error err = {0};
    struct cg_slot *slot = cg_board_slot(w->board, (uint32_t)number);
    k->world = w;
    k->number = number;
    k->config = (struct cg_engine_config){
        .intake = {.head = &cg_head_policy_default,
                   .max_body = UINT64_MAX,
                   .body_memory = 64 * 1024},
        .server = "test",
        .first_timeout_us = 60 * 1000000u,
        .header_timeout_us = 60 * 1000000u,
        .body_timeout_us = 60 * 1000000u,
        .response_memory = w->memory != 0 ? w->memory : UINT64_MAX,
        .max_queue_us = w->queue_us,
        .write_timeout_us = w->write_us != 0 ? w->write_us : 60 * 1000000u,
        .spill = w->spill,
        .keepalive_us = 60 * 1000000u,
        .max_keepalive_requests = UINT32_MAX,
        .request_timeout_us = w->limit_us,
        .max_connections = 1000,
        .max_open = 1000,
        .max_executors = most,
        .min_executors = w->least,
        .executor_idle_us = w->idle_us,
        .calls_may_last = threads > 1,
        .handover = &w->handover,
        .keeper = w->keeper,
        .transports = w->transports,
        .streaming = w->streaming,
        .parallel = w->parallel,
        .newest_first = w->newest_first,
    };
    fake_host_init(&k->fake, run, k);
    k->fake.host.stalled = stalled;
    k->fake.host.overdue = overdue;
    k->fake.host.prove = prove;
    k->fake.host.want_executor = most > 1 ? fake_want_executor : NULL;
    cg_slot_claim(w->board, slot, (uint32_t)number + 1, 1);
    ck_assert_int_eq(cg_engine_new(&k->config, &k->fake.host, &k->fake.runner,
                                   w->all, w->nlisteners, w->board, slot,
                                   &k->engine, &err),
                     0);
    if (!w->parallel) {
        ck_assert_int_eq(cg_engine_start_relief(k->engine, &err), 0);
    }
    atomic_store(&slot->booted, 1);
    for (int i = 0; i < threads; i++) {
        start_thread(k);
    }
}

static void
open_listener(struct world *w)
{
    struct cg_error err = {0};
    struct cg_addr addr;
    const struct cg_listener_options o = {.backlog = 128, .uid = -1, .gid = -1};
    ck_assert_int_eq(cg_addr_parse("127.0.0.1:0", &addr, &err), 0);
    w->nlisteners = w->nlisteners > 0 ? w->nlisteners : 1;
    w->all = cg_calloc((size_t)w->nlisteners, sizeof *w->all);
    for (int i = 0; i < w->nlisteners; i++) {
        ck_assert_msg(cg_listener_open(&addr, &o, &w->all[i], &err) == 0, "%s",
                      err.text);
    }
    w->listener = w->all[0];
}

static void
start_world(struct world *w, int workers, int threads, int most)
{
    struct cg_error err = {0};
    the_world = w;
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    open_listener(w);
    w->board = cg_scoreboard_new(WORKERS, 0);
    ck_assert_int_eq(cg_handover_new(&w->handover, -1, &err), 0);
    w->nworkers = workers;
    for (int i = 0; i < workers; i++) {
        init_worker(w, i, threads, most);
    }
}

void
world_start(struct world *w, int workers, int threads)
{
    world_start_with(w, workers, threads, threads);
}

void
world_start_with(struct world *w, int workers, int threads, int most)
{
    memset(w, 0, sizeof *w);
    start_world(w, workers, threads, most);
}

void
world_start_limited(struct world *w, int workers, int threads,
                    uint64_t limit_us)
{
    memset(w, 0, sizeof *w);
    w->limit_us = limit_us;
    start_world(w, workers, threads, threads);
}

void
world_start_set(struct world *w, int workers, int threads)
{
    start_world(w, workers, threads, w->most != 0 ? w->most : threads);
}

void
world_add_worker(struct world *w)
{
    init_worker(w, w->nworkers++, 1, 1);
}

void
world_unblock(struct world *w)
{
    pthread_mutex_lock(&w->lock);
    w->open = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void
end_worker(struct worker *k)
{
    for (int i = 0; i < k->nthreads; i++) {
        pthread_join(k->threads[i], NULL);
    }
    app_enter(k);
    cg_engine_free(k->engine);
    app_leave(k);
    for (int i = 0; i < k->nthreads; i++) {
        cg_executor_free(k->executors[i]);
    }
    ck_assert_int_eq(atomic_load(&k->fake.held), atomic_load(&k->fake.dropped));
    pthread_mutex_destroy(&k->fake.gil);
}

void
world_stop(struct world *w)
{
    world_unblock(w);
    for (int i = 0; i < w->nworkers; i++) {
        cg_engine_stop(w->worker[i].engine, 20 * 1000000u);
    }
    for (int i = 0; i < w->nworkers; i++) {
        end_worker(&w->worker[i]);
    }
    cg_handover_release(&w->handover);
    cg_scoreboard_free(w->board);
    for (int i = 0; i < w->nlisteners; i++) {
        cg_listener_close(&w->all[i], true);
    }
    free(w->all);
}

/* ---- clients ---- */

int
client_connect(struct world *w)
{
    return client_connect_to(&w->listener);
}

int
client_connect_to(const struct cg_listener *l)
{
    const struct timeval limit = {.tv_sec = LIMIT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&l->name, l->name_n),
                     0);
    return fd;
}

int
listener_accept(const struct cg_listener *l)
{
    struct pollfd offered = {.fd = l->fd, .events = POLLIN};
    ck_assert_int_eq(poll(&offered, 1, LIMIT_S * 1000), 1);
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

void
client_send(int fd, const char *text)
{
    size_t n = strlen(text);
    ck_assert_int_eq(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads up to and with the empty line. */
static void
read_head(int fd, char *head, size_t size)
{
    size_t n = 0;
    head[0] = '\0';
    while (n < size - 1 && strstr(head, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, head + n, 1, 0);
        ck_assert_msg(got == 1, "the connection ended in a head: '%s'", head);
        head[++n] = '\0';
    }
}

const char *
client_read(int fd)
{
    static _Thread_local char body[BIG + 1];
    char head[2048];
    read_head(fd, head, sizeof head);
    const char *field = strcasestr(head, "Content-Length:");
    ck_assert_ptr_nonnull(field);
    size_t length = (size_t)atoll(field + 15), n = 0;
    ck_assert_uint_le(length, BIG);
    while (n < length) {
        ssize_t got = recv(fd, body + n, length - n, 0);
        ck_assert_msg(got > 0, "the connection ended in a body");
        n += (size_t)got;
    }
    body[n] = '\0';
    return body;
}

const char *
client_rest(int fd, bool *ret_reset)
{
    static _Thread_local char all[64 * 1024];
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, all + n, sizeof all - 1 - n, 0)) > 0) {
        n += (size_t)got;
    }
    ck_assert_msg(got == 0 || errno == ECONNRESET, "the connection stays open");
    all[n] = '\0';
    *ret_reset = got < 0;
    return all;
}

const char *
client_get(int fd, const char *path)
{
    char text[256];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    client_send(fd, text);
    return client_read(fd);
}

bool
client_hears(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

int
worker_of(const char *body)
{
    int n;
    return sscanf(body, "ok %d", &n) == 1 ? n : -1;
}

/* ---- waiting ---- */

static void
pause_or_fail(uint64_t since_us, const char *what)
{
    const struct timespec t = {.tv_nsec = 200000};
    ck_assert_msg(cg_now_us() - since_us < LIMIT_S * 1000000u,
                  "%s did not happen", what);
    nanosleep(&t, NULL);
}

void
wait_for(_Atomic int *value, int n)
{
    uint64_t start = cg_now_us();
    while (atomic_load(value) < n) {
        pause_or_fail(start, "what was waited for");
    }
}

void
wait_for_count(_Atomic uint64_t *value, uint64_t n)
{
    uint64_t start = cg_now_us();
    while (atomic_load(value) < n) {
        pause_or_fail(start, "what was waited for");
    }
}
