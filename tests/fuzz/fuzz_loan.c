/* SPDX-License-Identifier: MIT */
/*
 * What comes back of requests that are lent, as their owner hears it: a worker
 * that is in a call for ever lends what its clients ask, over a transport that
 * changes their bytes, or over HTTP/2. Whoever took the loans says anything, in
 * any order: bytes where the reply comes, words, ends; and so do the clients. A
 * request that is lent afterwards gets its own reply, whole, and nothing is
 * left behind of those before.
 *
 * The first byte chooses the client, the others what is done.
 */
#include <poll.h>
#include <sys/un.h>
#include <time.h>

#include "core/base/fd.h"
#include "core/engine/loan/borrowed.h"
#include "core/http/h2/h2.h"
#include "tests/fuzz/engine.h"
#include "tests/unit/net/mask.h"

enum {
    H2 = 0, /* listeners */
    MASKED = 1,
    LOANS = 3, /* of a client of HTTP/2 */
    PATIENCE_MS = 60 * 1000,
    DESCRIPTORS_MOST = 64
};

static struct cg_listener listeners[2];
static struct cg_handover queue;
static struct cg_slot *slot;

/* ---- the worker ---- */

static void
run(void *self, struct cg_exchange *ex)
{
    for (;;) {
        pause();
    }
}

static const struct cg_app_ops ops = {
    .enter = fuzz_nothing,
    .leave = fuzz_nothing,
    .run = run,
    .hold = fuzz_hold,
    .drop = fuzz_hold,
};
static const struct cg_runner runner = {.ops = &ops};

static struct cg_transport_state *
make(const struct cg_transport_maker *m, int listener)
{
    return listener == MASKED ? mask_make(&mask_maker, listener) : NULL;
}

static void *
serve(void *arg)
{
    struct cg_engine *e = arg;
    cg_engine_run(e, cg_executor_new(e, 1));
    EXPECT(false, "the engine ended");
    return NULL;
}

/* A sibling that is busy: an idle one would have the listeners, too. */
static struct cg_scoreboard *
two_workers(void)
{
    struct cg_scoreboard *board = cg_scoreboard_new(2, 0);
    for (uint32_t i = 0; i < 2; i++) {
        cg_slot_claim(board, cg_board_slot(board, i), i + 1, 1);
        atomic_store(&cg_board_slot(board, i)->state, CG_WORKER_BUSY);
    }
    slot = cg_board_slot(board, 0);
    return board;
}

static void
start(void)
{
    static struct cg_engine_config config;
    static const struct cg_transport_maker maker = {.make = make};
    static const struct cg_h2_policy http2 = {20, 65535, 16384, 8192, true};
    struct cg_error err = {0};
    struct cg_engine *e;
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        cg_auto(free) char *name =
            cg_strf("unix:@fuzz_loan.%d.%d", getpid(), i);
        fuzz_listen(name, &listeners[i]);
    }
    EXPECT(cg_handover_new(&queue, -1, &err) == 0, "%s", err.text);
    config = fuzz_config(&queue);
    config.transports = &maker;
    config.http2 = &http2;
    config.cleartext = CG_CLEARTEXT_PRIOR;
    config.health.live = CG_SLICE("/is-there"); /* it goes on to accept */
    EXPECT(cg_engine_new(&config, &fuzz_host, &runner, listeners, 2,
                         two_workers(), slot, &e, &err) == 0 &&
               cg_engine_start_relief(e, &err) == 0,
           "%s", err.text);
    EXPECT(pthread_create(&thread, NULL, serve, e) == 0, "no thread");
}

/* ---- its clients ---- */

struct client {
    int fd, kind;
    uint64_t sent, got;
    char text[8192]; /* the last of what came */
    size_t n;
};

static void
say(struct client *c, const char *p, size_t n)
{
    cg_auto(free) char *copy = cg_strndup(p, n);
    if (c->kind == MASKED) {
        mask_bytes(copy, n, c->sent);
    }
    ssize_t sent = send(c->fd, copy, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    c->sent += sent > 0 ? (uint64_t)sent : 0;
}

/* What has come; false: nothing more will. */
static bool
hear(struct client *c, int flags)
{
    char bytes[16 * 1024];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, flags);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    if (c->kind == MASKED) {
        mask_bytes(bytes, (size_t)n, c->got);
    }
    c->got += (uint64_t)n;
    size_t some = (size_t)n < sizeof c->text ? (size_t)n : sizeof c->text;
    size_t keep = c->n + some <= sizeof c->text ? c->n : sizeof c->text - some;
    memmove(c->text, c->text + c->n - keep, keep);
    memcpy(c->text + keep, bytes + n - some, some);
    c->n = keep + some;
    return true;
}

/* GET / as HEADERS of so many streams, all fields in the static table but the
 * authority. */
static void
ask_h2(struct client *c, int streams)
{
    static const char begin[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                "\0\0\0\4\0\0\0\0\0";
    say(c, begin, sizeof begin - 1);
    for (int i = 0; i < streams; i++) {
        char head[] = "\0\0\6\1\5\0\0\0\0\x82\x86\x84\x41\1a";
        head[8] = (char)(2 * i + 1);
        say(c, head, sizeof head - 1);
    }
}

static struct client
ask(int kind, unsigned how)
{
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
         "GET / HTTP/1.1\r\nHost: a\r\n\r\n")};
    struct client c = {.kind = kind};
    const struct cg_listener *l = &listeners[kind];
    c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(c.fd >= 0 &&
               connect(c.fd, (const struct sockaddr *)&l->name, l->name_n) == 0,
           "%s", strerror(errno));
    if (kind == H2) {
        ask_h2(&c, 1 + (int)(how % LOANS));
    } else {
        say(&c, heads[how % 4], strlen(heads[how % 4]));
    }
    return c;
}

/* ---- who borrows ---- */

struct loan {
    int fd, word_fd;
};

static struct loan
take(void)
{
    static char bytes[sizeof(struct cg_message_header) + CG_MESSAGE_MOST];
    struct cg_handover_got got;
    struct cg_message m;
    EXPECT(cg_handover_receive(&queue, bytes, sizeof bytes, &got), "no loan");
    EXPECT(!got.lost && got.fds[1] >= 0 && got.fds[2] < 0, "descriptors");
    const char *wrong = cg_message_decode(bytes, got.n, 2, 2, &m);
    EXPECT(wrong == NULL && m.lent, "%s", wrong);
    return (struct loan){got.fds[0], got.fds[1]};
}

static bool
is_lent(int ms)
{
    struct pollfd p = {.fd = queue.read_fd, .events = POLLIN};
    int r;
    do {
        r = poll(&p, 1, ms);
    } while (r < 0 && errno == EINTR); /* the fuzzer's alarm */
    return r == 1;
}

static void
give_back(struct loan *l)
{
    cg_fd_close(&l->fd);
    cg_fd_close(&l->word_fd);
}

static void
put(int fd, const void *p, size_t n)
{
    ssize_t ignored = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
}

/* Part of what a reply is made of. */
static void
put_piece(int fd, unsigned which)
{
    static const char *const pieces[] = {
        "HTTP/1.1 200 OK\r\n",
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "4\r\nabcd\r\n",
        "0\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "ffffffffffffffff\r\n",
        "a:b\rc\r\n:d\r\n",
        "abcd"};
    const char *text = pieces[which % CG_COUNT(pieces)];
    put(fd, text, strlen(text));
}

/* Of whoever borrowed it, or of the client. */
static void
act(struct client *c, struct loan *l, struct fuzz_input *in)
{
    static const char filler[64 * 1024];
    unsigned what = fuzz_byte(in), n;
    char word;
    switch (what % 12) {
    case 0:
    case 1:
    case 2: put_piece(l->fd, fuzz_byte(in)); break;
    case 3:
        n = fuzz_byte(in);
        n = n < in->n ? n : (unsigned)in->n;
        put(l->fd, in->p, n);
        in->p += n;
        in->n -= n;
        break;
    case 4: put(l->fd, filler, sizeof filler); break;
    case 5:
        word = (char)fuzz_byte(in);
        put(l->word_fd, &word, what & 16 ? 1 : 0);
        break;
    case 6: put(l->word_fd, what & 16 ? "k" : "c", 1); break;
    case 7: shutdown(l->fd, what & 16 ? SHUT_WR : SHUT_RDWR); break;
    case 8: cg_fd_close(what & 16 ? &l->fd : &l->word_fd); break;
    case 9: hear(c, MSG_DONTWAIT); break;
    case 10:
        n = fuzz_byte(in);
        n = n < in->n ? n : (unsigned)in->n;
        say(c, in->p, n);
        in->p += n;
        in->n -= n;
        break;
    default: shutdown(c->fd, what & 16 ? SHUT_WR : SHUT_RDWR); break;
    }
}

/* All connections are gone but that of the call, and so are their loans. */
static void
settle(void)
{
    const struct timespec t = {.tv_nsec = 100000};
    for (int i = 0; atomic_load(&slot->connections) > 1; i++) {
        EXPECT(i < PATIENCE_MS * 10, "%d connections",
               atomic_load(&slot->connections));
        nanosleep(&t, NULL);
    }
    while (is_lent(0)) {
        struct loan l = take();
        give_back(&l);
    }
    fuzz_check_descriptors(DESCRIPTORS_MOST);
}

static void
play(struct fuzz_input in)
{
    unsigned how = fuzz_byte(&in);
    struct client c = ask(how & 1 ? MASKED : H2, how >> 1);
    struct loan loans[LOANS];
    int n = c.kind == H2 ? 1 + (int)((how >> 1) % LOANS) : 1;
    for (int i = 0; i < n; i++) {
        EXPECT(is_lent(PATIENCE_MS), "nothing is lent");
        loans[i] = take();
    }
    while (in.n > 0) {
        act(&c, &loans[n > 1 ? fuzz_byte(&in) % (unsigned)n : 0], &in);
    }
    if (how & 128) {
        cg_fd_close(&c.fd);
    }
    for (int i = 0; i < n; i++) {
        give_back(&loans[i]);
    }
    cg_fd_close(&c.fd);
}

static void
check_good(int kind)
{
    static const char reply[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
    struct client c = ask(kind, 0);
    EXPECT(is_lent(PATIENCE_MS), "nothing is lent");
    struct loan l = take();
    put(l.fd, reply, sizeof reply - 1);
    put(l.word_fd, "k", 1);
    give_back(&l);
    while (c.n < 4 || memmem(c.text, c.n, "good", 4) == NULL) {
        EXPECT(hear(&c, 0), "the reply is cut: '%.*s'", (int)c.n, c.text);
    }
    cg_fd_close(&c.fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool started;
    if (!started) {
        start();
        struct client blocked = ask(MASKED, 0); /* stays open */
        EXPECT(blocked.fd >= 0, "no client");
        while (atomic_load(&slot->takeovers) == 0) {
            poll(NULL, 0, 1);
        }
        started = true;
    }
    play(fuzz_input(data, n));
    settle();
    check_good(n % 2 ? MASKED : H2);
    settle();
    return 0;
}
