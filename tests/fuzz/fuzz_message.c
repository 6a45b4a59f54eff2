/* SPDX-License-Identifier: MIT */
/*
 * What lies in the workers' queue, as a worker receives it: an engine that runs
 * gets a message of random bytes with random descriptors, then a good one. The
 * good one is answered, by its own bytes; of the other nothing is left behind.
 *
 * The first bytes choose: which parts of the header are made right, so that
 * what is behind the first check is reached, too, and what comes with it.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "core/base/fd.h"
#include "core/engine/exchange/wire.h"
#include "tests/fuzz/engine.h"

enum {
    MAGIC_RIGHT = 1,
    LENGTHS_RIGHT = 2,
    PEER_RIGHT = 4,
    LISTENER_RIGHT = 8,
    FILE_RIGHT = 16,
    HEAD_RIGHT = 32,
    FACTS_RIGHT = 64, /* of TLS, with a loan */
    FACTS = 96,       /* bytes of them */
    /* of descriptors that a lost message may leave for a moment */
    DESCRIPTORS_MOST = 64
};

static struct cg_listener listener;
static struct cg_handover queue;
static _Atomic long ran;

/* ---- the worker ---- */

/* Strings of the message, all of which end. */
static void
read_facts(const struct cg_secure *s)
{
    size_t n = strlen(s->protocol) + strlen(s->cipher);
    EXPECT(s->misdirects == NULL, "a function");
    if (s->client != NULL) {
        const struct cg_secure_client *c = s->client;
        n += strlen(c->why_not) + strlen(c->subject) + strlen(c->issuer) +
             strlen(c->serial) + strlen(c->pem);
    }
    EXPECT(n <= CG_MESSAGE_MOST, "%zu bytes", n);
}

/* As an application that reads everything. */
static void
run(void *self, struct cg_exchange *ex)
{
    static char bytes[4096];
    size_t n = ex->body.n < sizeof bytes ? (size_t)ex->body.n : sizeof bytes;
    if (ex->body.p != NULL && n > 0) {
        memcpy(bytes, ex->body.p, n);
    } else if (ex->body.fd >= 0) {
        ssize_t got = pread(ex->body.fd, bytes, n, 0);
        (void)got; /* it may be anything */
    }
    EXPECT(ex->listener == 0, "listener %d", ex->listener);
    EXPECT(strlen(ex->peer->addr) < sizeof ex->peer->addr, "no text");
    if (ex->secure != NULL) {
        read_facts(ex->secure);
    }
    struct cg_slice rest = ex->body.trailers;
    while (rest.n > 0) { /* as hooks see them */
        const char *lf = memchr(rest.p, '\n', rest.n);
        EXPECT(lf != NULL && memchr(rest.p, ':', (size_t)(lf - rest.p)),
               "trailers that are none");
        rest.n -= (size_t)(lf + 1 - rest.p);
        rest.p = lf + 1;
    }
    struct cg_slice target = cg_span_of(ex->base, ex->req->target);
    cg_auto(free) char *text =
        cg_strf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%.*s", target.n,
                (int)target.n, target.p);
    const struct iovec part = {text, strlen(text)};
    ((struct cg_call *)(void *)ex)->wire->send(ex, &part, 1, NULL);
    ex->status = 200;
    ex->keep = ex->may_keep;
    atomic_fetch_add(&ran, 1);
}

static const struct cg_app_ops ops = {
    .enter = fuzz_nothing,
    .leave = fuzz_nothing,
    .run = run,
    .hold = fuzz_hold,
    .drop = fuzz_hold,
};
static const struct cg_runner runner = {.ops = &ops};
static void *
serve(void *arg)
{
    struct cg_engine *e = arg;
    cg_engine_run(e, cg_executor_new(e, 1));
    EXPECT(false, "the engine ended");
    return NULL;
}

static void
start(void)
{
    static struct cg_engine_config config;
    static struct cg_trust *nobody;
    static const char *const none[] = {NULL};
    struct cg_scoreboard *board = cg_scoreboard_new(1, 0);
    struct cg_error err = {0};
    struct cg_engine *e;
    pthread_t thread;
    cg_auto(free) char *name = cg_strf("unix:@fuzz_message.%d", getpid());
    signal(SIGPIPE, SIG_IGN);
    fuzz_listen(name, &listener);
    EXPECT(cg_trust_new(none, &nobody, &err) == 0 &&
               cg_handover_new(&queue, -1, &err) == 0,
           "%s", err.text);
    config = fuzz_config(&queue);
    config.trust = config.proxy_trust = nobody;
    config.proxy_mode = CG_PROXY_AUTO;
    cg_slot_claim(board, cg_board_slot(board, 0), 1, 1);
    EXPECT(cg_engine_new(&config, &fuzz_host, &runner, &listener, 1, board,
                         cg_board_slot(board, 0), &e, &err) == 0,
           "%s", err.text);
    EXPECT(pthread_create(&thread, NULL, serve, e) == 0, "no thread");
}

/* ---- the messages ---- */

/* Sends the bytes as they are; descriptors stay ours. */
static void
put(const void *p, size_t n, const int *fds, int nfds)
{
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {(void *)(size_t)p, n};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (nfds > 0) {
        size_t space = (size_t)nfds * sizeof(int);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(space);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(space);
        memcpy(CMSG_DATA(c), fds, space);
    }
    ssize_t sent;
    do {
        sent = sendmsg(queue.write_fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && (errno == EAGAIN || errno == EINTR));
    EXPECT(sent == (ssize_t)n, "%s", strerror(errno));
    cg_handover_poke(&queue);
}

/* One end of what comes with a message; *ret_other is the other, or -1. */
static int
descriptor(unsigned kind, int *ret_other)
{
    int pair[2] = {-1, -1};
    *ret_other = -1;
    switch (kind % 6) {
    case 0:
    case 1:
        EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
               "no sockets");
        break;
    case 2: EXPECT(pipe2(pair, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe"); break;
    case 3: pair[0] = memfd_create("body", MFD_CLOEXEC); break;
    case 4: pair[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); break;
    default: pair[0] = fcntl(queue.poke_fd, F_DUPFD_CLOEXEC, 3); break;
    }
    *ret_other = pair[1];
    return pair[0];
}

static const char good_head[] = "POST /x HTTP/1.1\r\nHost: a\r\n"
                                "Content-Length: 4\r\n\r\n";

/* What is chosen of the header is as it should be. */
static void
correct(struct cg_message_header *h, unsigned how, size_t behind, int nfds)
{
    struct cg_message none = {.head = CG_SLICE("")};
    struct cg_message_header right;
    struct iovec parts[CG_MESSAGE_PARTS];
    cg_message_encode(&none, &right, parts);
    if (how & MAGIC_RIGHT) {
        h->magic = right.magic;
    }
    if (how & LISTENER_RIGHT) {
        h->listener = 0;
    }
    if (how & FILE_RIGHT) {
        /* one more is a body's, or of a loan; two more are both */
        h->lent = nfds == 3 || (nfds == 2 && (h->lent & 1));
        h->has_file = (uint8_t)(nfds - 1 - h->lent) & (nfds > 1);
        h->is_h2 &= h->lent;
        h->told_https &= 1;
        h->rest_n = h->lent ? 0 : h->rest_n;
        h->facts_n = 0;
        h->file_n = h->has_file ? h->file_n & INT64_MAX : 0;
        h->body_n = h->has_file ? 0 : h->body_n;
    }
    if (how & LENGTHS_RIGHT) { /* shares that add up */
        uint32_t left = (uint32_t)behind;
        uint32_t *const length[] = {&h->head_n, &h->trailers_n, &h->rest_n,
                                    &h->facts_n};
        h->body_n =
            (how & FILE_RIGHT) && h->has_file ? 0 : h->body_n % (left + 1);
        left -= h->body_n;
        for (int i = 1; i < 4; i++) {
            *length[i] %= left + 1;
            left -= *length[i];
        }
        h->head_n = left;
    }
    if (how & PEER_RIGHT) {
        h->peer.family = AF_INET;
        h->peer.trusted &= 1;
        h->peer.proxied %= 3;
        h->peer.addr[sizeof h->peer.addr - 1] = '\0';
        h->peer.proxy_addr[sizeof h->peer.proxy_addr - 1] = '\0';
    }
}

/* A loan's: the last bytes are facts, with numbers and words that are none of
 * OpenSSL's. */
static void
put_facts(struct cg_message_header *h, char *behind, size_t n)
{
    enum { NUMBERS = 8, FLAGS = 4, OF_ALL = 2, OF_CLIENT = 5 };
    char *p = behind + n - FACTS, *text = p + NUMBERS;
    h->facts_n = FACTS;
    h->head_n = (uint32_t)n - FACTS;
    h->body_n = h->trailers_n = h->rest_n = 0;
    for (int i = FLAGS; i < NUMBERS; i++) {
        p[i] &= 1; /* resumed, is_h2, has_client, verified */
    }
    p[NUMBERS - 1] &= p[NUMBERS - 2];
    size_t count = p[NUMBERS - 2] ? OF_ALL + OF_CLIENT : OF_ALL;
    size_t each = (FACTS - NUMBERS) / count;
    for (size_t i = 0; i < FACTS - NUMBERS; i++) {
        bool ends = i == FACTS - NUMBERS - 1 ||
                    (i % each == each - 1 && i / each < count - 1);
        if (ends) {
            text[i] = '\0';
        } else if (i / each < OF_ALL) {
            text[i] = (char)('!' + (unsigned char)text[i] % 94);
        } else if (text[i] == '\0') {
            text[i] = ' ';
        }
    }
}

static void
put_random(struct fuzz_input in, unsigned how, unsigned kinds)
{
    static char bytes[sizeof(struct cg_message_header) + CG_MESSAGE_MOST];
    int fds[4] = {-1, -1, -1, -1}, others[4] = {-1, -1, -1, -1};
    int nfds = (int)(kinds % 4);
    size_t n = in.n < sizeof bytes ? in.n : sizeof bytes;
    for (int i = 0; i < nfds; i++) {
        fds[i] = descriptor(kinds / 4 + (unsigned)i * (kinds / 16), &others[i]);
    }
    memcpy(bytes, in.p, n);
    struct cg_message_header h;
    if (n >= sizeof h) {
        memcpy(&h, bytes, sizeof h);
        size_t behind = n - sizeof h;
        if ((how & HEAD_RIGHT) && behind >= sizeof good_head - 1) {
            memcpy(bytes + sizeof h, good_head, sizeof good_head - 1);
        }
        correct(&h, how, behind, nfds);
        if ((how & FACTS_RIGHT) && h.lent == 1 &&
            behind >= FACTS + sizeof good_head) {
            put_facts(&h, bytes + sizeof h, behind);
        }
        memcpy(bytes, &h, sizeof h);
    }
    if (n > 0) { /* of none the queue would say that it has ended */
        put(bytes, n, fds, nfds);
    }
    for (int i = 0; i < nfds; i++) {
        cg_fd_close(&fds[i]);
        cg_fd_close(&others[i]);
    }
}

/* ---- the good one ---- */

static void
put_good(int fd)
{
    static const char head[] = "GET /good HTTP/1.1\r\nHost: a\r\n"
                               "Connection: close\r\n\r\n";
    struct cg_message m = {.head = {head, sizeof head - 1},
                           .peer = {.family = AF_INET}};
    while (cg_handover_send(&queue, &m, &fd, 1) == -EAGAIN) {
    }
    cg_handover_poke(&queue);
}

static void
check_answer(void)
{
    int pair[2];
    char text[512];
    size_t n = 0;
    ssize_t r = 1;
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
           "no sockets");
    put_good(pair[0]);
    close(pair[0]);
    while (r > 0 || (r < 0 && errno == EINTR)) {
        r = recv(pair[1], text + n, sizeof text - 1 - n, 0);
        n += r > 0 ? (size_t)r : 0;
    }
    text[n] = '\0';
    close(pair[1]);
    EXPECT(strcmp(text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n/good") ==
               0,
           "'%s'", text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool started;
    struct fuzz_input in = fuzz_input(data, n);
    unsigned how = fuzz_byte(&in);
    unsigned kinds = fuzz_byte(&in);
    if (!started) {
        start();
        started = true;
    }
    put_random(in, how, kinds);
    check_answer();
    fuzz_check_descriptors(DESCRIPTORS_MOST);
    return 0;
}
