/* SPDX-License-Identifier: MIT */
/*
 * The transport: what one connection's bytes become. OpenSSL's BIO here is a
 * window on buffers of the thread that makes the call; between two calls
 * nothing of a connection is left in them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"
#include "core/net/tls_internal.h"

enum {
    /* one recv: with what OpenSSL has of an unfinished record (16 KiB and its
     * frame) no more than CG_TRANSPORT_ROOM when it is opened */
    RECORD = 16384 + 512,
    RECEIVE = CG_TRANSPORT_ROOM - RECORD,
    SEAL = 64 * 1024,   /* plain bytes of one send */
    SHARE = 256 * 1024, /* of one call, whoever takes more */
    OUT = 80 * 1024,    /* room for a seal; a long certificate chain: more */
    HELD_MOST = 1 << 20 /* sealed bytes that wait for a peer */
};

struct buffers {
    const char *in; /* what the BIO reads, and how much is left of it */
    size_t in_n;
    struct cg_buf out; /* what it wrote */
    char received[RECEIVE];
    char gathered[SEAL];
};

struct secured {
    struct cg_transport_state state; /* first */
    struct cg_secure facts;
    struct cg_tls *tls;
    struct ssl_st *ssl; /* NULL: no byte has come */
    struct cg_tls_question question;
    pthread_mutex_t lock;
    struct cg_buf early; /* came with the handshake, not opened yet */
    struct cg_buf held;  /* sealed: what a full socket left */
    size_t owed;         /* plain bytes of it that are offered again */
    bool unread;         /* open what is there before the next recv */
    bool ended;          /* nothing is to be said any more */
    bool failed;
};

/* ---- the thread's buffers ---- */

static pthread_key_t buffers_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct buffers *own;
static struct bio_method_st *method;
int cg_tls_question_index;

static void
free_buffers(void *p)
{
    struct buffers *b = p;
    cg_buf_release(&b->out);
    free(b);
    own = NULL;
}

static struct buffers *
buffers(void)
{
    if (__builtin_expect(own == NULL, 0)) {
        own = cg_malloc(sizeof *own);
        own->in_n = 0;
        own->out = (struct cg_buf){0};
        cg_buf_reserve(&own->out, OUT);
        pthread_setspecific(buffers_key, own);
    }
    return own;
}

/* The main thread's destructor does not run. */
__attribute__((destructor)) static void
free_own(void)
{
    if (own != NULL) {
        free_buffers(own);
    }
}

/* ---- the BIO ---- */

static int
bio_read(struct bio_st *b, char *p, int n)
{
    struct buffers *t = own;
    cg_openssl.BIO_clear_flags(b, CG_BIO_READ | CG_BIO_WRITE | CG_BIO_SPECIAL |
                                      CG_BIO_RETRY);
    if (t->in_n == 0) {
        cg_openssl.BIO_set_flags(b, CG_BIO_READ | CG_BIO_RETRY);
        return -1;
    }
    size_t taken = t->in_n < (size_t)n ? t->in_n : (size_t)n;
    memcpy(p, t->in, taken);
    t->in += taken;
    t->in_n -= taken;
    return (int)taken;
}

static int
bio_write(struct bio_st *b, const char *p, int n)
{
    cg_openssl.BIO_clear_flags(b, CG_BIO_READ | CG_BIO_WRITE | CG_BIO_SPECIAL |
                                      CG_BIO_RETRY);
    cg_buf_put(&own->out, p, (size_t)n);
    return n;
}

static long
bio_ctrl(struct bio_st *b, int cmd, long n, void *p)
{
    return cmd == CG_BIO_CTRL_FLUSH;
}

static int
bio_create(struct bio_st *b)
{
    cg_openssl.BIO_set_init(b, 1);
    return 1;
}

static void
prepare(void)
{
    const struct cg_openssl *o = &cg_openssl;
    pthread_key_create(&buffers_key, free_buffers);
    method = o->BIO_meth_new(o->BIO_get_new_index() | CG_BIO_SOURCE_SINK,
                             "buffers of a thread");
    if (method != NULL) {
        o->BIO_meth_set_read(method, bio_read);
        o->BIO_meth_set_write(method, bio_write);
        o->BIO_meth_set_ctrl(method, bio_ctrl);
        o->BIO_meth_set_create(method, bio_create);
    }
    cg_tls_question_index =
        o->CRYPTO_get_ex_new_index(0, 0, NULL, NULL, NULL, NULL);
}

static struct secured *
secured_of(struct cg_transport *t)
{
    return (struct secured *)(void *)t->state;
}

static bool
open_ssl(struct secured *s)
{
    pthread_once(&once, prepare);
    s->ssl = method != NULL ? cg_tls_open(s->tls) : NULL;
    struct bio_st *bio = s->ssl != NULL ? cg_openssl.BIO_new(method) : NULL;
    if (bio == NULL) {
        return false;
    }
    s->question.tls = s->tls;
    cg_openssl.SSL_set_bio(s->ssl, bio, bio);
    cg_openssl.SSL_set_ex_data(s->ssl, cg_tls_question_index, &s->question);
    cg_openssl.SSL_set_accept_state(s->ssl);
    return true;
}

/* ---- sealed bytes to the socket ---- */

/* 0 or a negative errno; *n is how many were taken. */
static int
send_some(struct cg_transport *t, const char *p, size_t all, size_t *n,
          bool more)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    *n = 0;
    while (*n < all) {
        ssize_t sent = send(t->fd, p + *n, all - *n, flags);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
        }
        *n += (size_t)sent;
    }
    return 0;
}

/* What an earlier call left. */
static int
send_held(struct cg_transport *t, struct secured *s)
{
    size_t n = 0;
    int r = s->held.n > 0 ? send_some(t, s->held.p, s->held.n, &n, false) : 0;
    cg_buf_drop(&s->held, n);
    return r;
}

/* What OpenSSL has written by this call; what the socket does not take waits
 * behind what waits. */
static int
send_out(struct cg_transport *t, struct secured *s, bool more)
{
    struct buffers *b = own;
    size_t n = 0;
    int r = 0;
    if (b->out.n == 0) {
        return 0;
    }
    if (s->held.n == 0) {
        r = send_some(t, b->out.p, b->out.n, &n, more);
    }
    if (r == 0 && s->held.n + b->out.n - n > HELD_MOST) {
        r = -EPIPE; /* a peer that makes us talk and does not listen */
    }
    if (r == 0) {
        cg_buf_put(&s->held, b->out.p + n, b->out.n - n);
    }
    cg_buf_reset(&b->out);
    if (b->out.cap > (size_t)2 * OUT) {
        cg_buf_release(&b->out);
        cg_buf_reserve(&b->out, OUT);
    }
    return r;
}

/* ---- the handshake ---- */

/* A record of TLS begins with its type, 22 for a handshake; a method of HTTP
 * is letters. */
static bool
is_plain_http(const char *p, size_t n)
{
    return n > 0 &&
           ((p[0] >= 'A' && p[0] <= 'Z') || (p[0] >= 'a' && p[0] <= 'z'));
}

static const char *
reason(void)
{
    unsigned long code = cg_openssl.ERR_get_error();
    const char *text =
        code != 0 ? cg_openssl.ERR_reason_error_string(code) : NULL;
    cg_openssl.ERR_clear_error();
    return text != NULL ? text : "protocol error";
}

static enum cg_shaken
fail(struct secured *s, const char **ret_why)
{
    *ret_why = s->question.alert != 0 ? "refused by sni_callback" : reason();
    s->failed = s->ended = true;
    return CG_SHAKEN_FAILED;
}

/* Facts are a part of their connection. */
static bool
misdirects(const struct cg_secure *facts, struct cg_slice host)
{
    const struct secured *s =
        (const void *)((const char *)facts - offsetof(struct secured, facts));
    if (cg_slice_is_nocase(host, s->question.name)) {
        return false;
    }
    cg_auto(free) char *name = cg_strndup(host.p, host.n);
    return cg_tls_is_elsewhere(s->tls, s->question.name, name);
}

/* What came behind the handshake is opened by the next receive. */
static enum cg_shaken
shaken(struct secured *s)
{
    cg_buf_release(&s->early);
    cg_buf_put(&s->early, own->in, own->in_n);
    s->unread = true;
    cg_tls_learn(s->ssl, &s->facts);
    if (s->question.name != NULL && s->tls->asking.ask == NULL) {
        s->facts.misdirects = misdirects;
    }
    s->state.secure = &s->facts;
    return CG_SHAKEN_DONE;
}

static enum cg_shaken
step(struct cg_transport *t, struct secured *s, const char **ret_why)
{
    cg_openssl.ERR_clear_error();
    int r = cg_openssl.SSL_do_handshake(s->ssl);
    int what = r == 1 ? 0 : cg_openssl.SSL_get_error(s->ssl, r);
    if (what == CG_SSL_ERROR_WANT_CLIENT_HELLO) {
        struct cg_buf rest = {0};
        cg_buf_put(&rest, own->in, own->in_n);
        cg_buf_release(&s->early);
        s->early = rest;
        s->unread = true;
        return CG_SHAKEN_ASKS;
    }
    enum cg_shaken failed =
        r != 1 && what != CG_SSL_ERROR_WANT_READ ? fail(s, ret_why) : 0;
    if (send_out(t, s, false) < 0) { /* an alert, too */
        *ret_why = "the client went away";
        s->failed = s->ended = true;
        return CG_SHAKEN_FAILED;
    }
    if (failed != 0) {
        return failed;
    }
    return r == 1 ? shaken(s) : s->held.n > 0 ? CG_SHAKEN_FULL : CG_SHAKEN_MORE;
}

/* Has bytes for the BIO: 1; else what the step comes to is in *ret. */
static int
take_bytes(struct cg_transport *t, struct secured *s, const char *p, size_t n,
           enum cg_shaken *ret, const char **ret_why)
{
    struct buffers *b = buffers();
    if (s->unread || n > 0) {
        s->unread = false;
        cg_buf_put(&s->early, p, n);
        b->in = s->early.p;
        b->in_n = s->early.n;
        return 1;
    }
    ssize_t got = recv(t->fd, b->received, RECEIVE, MSG_DONTWAIT);
    if (got > 0) {
        b->in = b->received;
        b->in_n = (size_t)got;
        return 1;
    }
    if (got < 0 && cg_transport_not_now() == -EAGAIN) {
        *ret = s->held.n > 0 ? CG_SHAKEN_FULL : CG_SHAKEN_MORE;
        return 0;
    }
    *ret_why = "the client closed the connection";
    *ret = s->ssl == NULL ? CG_SHAKEN_GONE : CG_SHAKEN_FAILED;
    s->ended = true;
    return 0;
}

static enum cg_shaken
shake_locked(struct cg_transport *t, struct secured *s, const char *p, size_t n,
             const char **ret_why)
{
    enum cg_shaken what = CG_SHAKEN_MORE;
    if (send_held(t, s) < 0) {
        *ret_why = "the client went away";
        return CG_SHAKEN_FAILED;
    }
    if (!take_bytes(t, s, p, n, &what, ret_why)) {
        return what;
    }
    if (s->ssl == NULL && is_plain_http(own->in, own->in_n)) {
        return CG_SHAKEN_PLAIN;
    }
    if (s->ssl == NULL && !open_ssl(s)) {
        *ret_why = "out of memory";
        s->failed = s->ended = true;
        return CG_SHAKEN_FAILED;
    }
    what = step(t, s, ret_why);
    own->in_n = 0;
    if (!s->unread) {
        cg_buf_release(&s->early);
    }
    return what;
}

static enum cg_shaken
tls_shake(struct cg_transport *t, const char *p, size_t n, const char **ret_why)
{
    struct secured *s = secured_of(t);
    pthread_once(&once, prepare);
    pthread_mutex_lock(&s->lock);
    enum cg_shaken what = shake_locked(t, s, p, n, ret_why);
    pthread_mutex_unlock(&s->lock);
    return what;
}

static void
tls_answer(struct cg_transport *t)
{
    struct secured *s = secured_of(t);
    struct cg_tls_question *q = &s->question;
    const struct cg_tls_asking *asking = &s->tls->asking;
    void *context = asking->ask(asking->self, q->name, &q->alert);
    if (context != NULL) {
        cg_openssl.SSL_set_SSL_CTX(s->ssl, context);
    }
    q->state = CG_TLS_ANSWERED;
}

/* ---- receiving ---- */

/* No more is to come, but bytes that did come are given first: the descriptor
 * shows the end from here on. */
static bool
is_over(const struct secured *s)
{
    return s->failed || (cg_openssl.SSL_get_shutdown(s->ssl) &
                         CG_SSL_RECEIVED_SHUTDOWN) != 0;
}

/* Opens what there is; negative: no more will come. What became of it is asked
 * of the connection: SSL_get_error also looks at the thread's queue of errors,
 * which others fill, and emptying that costs more than the rest of this. */
static ssize_t
open_records(struct secured *s, char *p, size_t room)
{
    size_t n = 0;
    while (n < room) {
        int r = cg_openssl.SSL_read(s->ssl, p + n, (int)(room - n));
        if (r > 0) {
            n += (size_t)r;
            if (own->in_n == 0 && !cg_openssl.SSL_has_pending(s->ssl)) {
                return (ssize_t)n;
            }
            continue;
        }
        if (cg_openssl.SSL_want(s->ssl) == CG_SSL_READING) {
            return n > 0 ? (ssize_t)n : -EAGAIN;
        }
        if (!is_over(s)) {
            s->failed = s->ended = true;
            cg_openssl.ERR_clear_error();
            return n > 0 ? (ssize_t)n : -EPROTO;
        }
        return (ssize_t)n;
    }
    return (ssize_t)n;
}

static ssize_t
receive_locked(struct cg_transport *t, struct secured *s, char *p, size_t room)
{
    struct buffers *b = buffers();
    if (s->ssl == NULL || is_over(s)) {
        return s->failed ? -EPROTO : 0;
    }
    if (send_held(t, s) < 0) {
        return -EPIPE;
    }
    if (s->unread) {
        s->unread = false;
        b->in = s->early.p;
        b->in_n = s->early.n;
    } else {
        size_t most = room - RECORD < RECEIVE ? room - RECORD : RECEIVE;
        ssize_t n = recv(t->fd, b->received, most, MSG_DONTWAIT);
        if (n <= 0) {
            return n < 0 ? cg_transport_not_now() : 0;
        }
        b->in = b->received;
        b->in_n = (size_t)n;
    }
    ssize_t n = open_records(s, p, room);
    b->in_n = 0;
    cg_buf_release(&s->early);
    if (send_out(t, s, false) < 0) { /* alerts, answers to KeyUpdate */
        s->failed = s->ended = true;
        n = n > 0 ? n : -EPIPE;
    }
    if (n > 0 && is_over(s)) {
        cg_transport_deafen(t);
    }
    return n;
}

static ssize_t
tls_receive(struct cg_transport *t, void *p, size_t room)
{
    struct secured *s = secured_of(t);
    CG_ASSERT(room >= (size_t)2 * RECORD);
    pthread_mutex_lock(&s->lock);
    ssize_t n = receive_locked(t, s, p, room);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- sending ---- */

/* Up to SEAL bytes of the parts from `skip` on, as one piece. */
static struct cg_slice
gather(const struct iovec *parts, int count, size_t skip)
{
    char *to = own->gathered;
    size_t n = 0;
    for (int i = 0; i < count && n < SEAL; i++) {
        const char *p = parts[i].iov_base;
        size_t m = parts[i].iov_len;
        if (skip >= m) {
            skip -= m;
            continue;
        }
        p += skip;
        m -= skip;
        skip = 0;
        if (n == 0 && (m >= SEAL || i == count - 1)) {
            return (struct cg_slice){p, m < SEAL ? m : SEAL};
        }
        m = m < SEAL - n ? m : SEAL - n;
        memcpy(to + n, p, m);
        n += m;
    }
    return (struct cg_slice){to, n};
}

static size_t
total(const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += parts[i].iov_len;
    }
    return n;
}

static ssize_t
send_locked(struct cg_transport *t, struct secured *s,
            const struct iovec *parts, int count, bool more)
{
    size_t all = total(parts, count), taken = 0;
    int r = send_held(t, s);
    if (r < 0 || s->held.n > 0) {
        return r;
    }
    if (s->owed > 0) { /* sealed before, and gone now */
        taken = s->owed < all ? s->owed : all;
        s->owed -= taken;
    }
    buffers();
    while (taken < all && taken < SHARE) {
        struct cg_slice next = gather(parts, count, taken);
        if (cg_openssl.SSL_write(s->ssl, next.p, (int)next.n) != (int)next.n) {
            cg_openssl.ERR_clear_error();
            s->failed = s->ended = true;
            return -EPIPE;
        }
        r = send_out(t, s, more || taken + next.n < all);
        if (r < 0) {
            return r;
        }
        if (s->held.n > 0) {
            s->owed = next.n;
            break;
        }
        taken += next.n;
    }
    return (ssize_t)taken;
}

static ssize_t
tls_send(struct cg_transport *t, const struct iovec *parts, int count,
         bool more)
{
    struct secured *s = secured_of(t);
    pthread_mutex_lock(&s->lock);
    ssize_t n = s->ssl == NULL || s->ended
                    ? -EPIPE
                    : send_locked(t, s, parts, count, more);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- the end ---- */

/* A reply of which a part is missing has no proper end. */
static void
tls_say_end(struct cg_transport *t)
{
    struct secured *s = secured_of(t);
    pthread_mutex_lock(&s->lock);
    if (s->ssl != NULL && !s->ended && s->held.n == 0) {
        buffers();
        cg_openssl.ERR_clear_error();
        cg_openssl.SSL_shutdown(s->ssl);
        cg_openssl.ERR_clear_error();
        send_out(t, s, false);
    }
    s->ended = true;
    pthread_mutex_unlock(&s->lock);
}

static void
tls_release(struct cg_transport *t)
{
    struct secured *s = secured_of(t);
    if (s->ssl != NULL) {
        cg_openssl.SSL_free(s->ssl);
    }
    cg_tls_forget(&s->facts);
    cg_buf_release(&s->early);
    cg_buf_release(&s->held);
    free(s->question.name);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct cg_transport_kind kind = {
    .shake = tls_shake,
    .answer = tls_answer,
    .receive = tls_receive,
    .send = tls_send,
    .say_end = tls_say_end,
    .release = tls_release,
};

/* OpenSSL's part is made with the first byte: many who connect say nothing. */
static struct cg_transport_state *
make(const struct cg_transport_maker *m, int listener)
{
    struct cg_tls *t = (struct cg_tls *)(void *)(uintptr_t)m;
    if (t->secure != NULL && (listener >= t->nsecure || !t->secure[listener])) {
        return NULL;
    }
    if (t->files != NULL) {
        cg_tls_look_at_files(t);
    }
    struct secured *s = cg_calloc(1, sizeof *s);
    s->state.kind = &kind;
    s->tls = t;
    pthread_mutex_init(&s->lock, NULL);
    return &s->state;
}

void
cg_tls_set_listeners(struct cg_tls *t, const bool *secure, int n)
{
    free(t->secure);
    t->secure = cg_calloc((size_t)n + 1, sizeof *t->secure);
    memcpy(t->secure, secure, (size_t)n * sizeof *t->secure);
    t->nsecure = n;
}

const struct cg_transport_maker *
cg_tls_maker(const struct cg_tls *t)
{
    return &t->maker;
}

struct cg_tls *cg_tls_alloc(void);

struct cg_tls *
cg_tls_alloc(void)
{
    struct cg_tls *t = cg_calloc(1, sizeof *t);
    t->maker.make = make;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}
