/* SPDX-License-Identifier: MIT */
/* TLS as a transport: handshakes and records in pieces, full sockets, ends. The
 * client is OpenSSL on buffers in memory. */
#include "core/net/tls.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"
#include "core/net/openssl.h"
#include "tests/unit/check_main.h"

enum { TLS12 = 0x0303, TLS13 = 0x0304, MIN_VERSION = 123, MAX_VERSION = 124 };

/* What only a test needs of it. */
static struct {
    const void *(*TLS_server_method)(void);
    const void *(*TLS_client_method)(void);
    struct ssl_ctx_st *(*SSL_CTX_new)(const void *method);
    void (*SSL_set_connect_state)(struct ssl_st *s);
    int (*SSL_CTX_use_certificate_chain_file)(struct ssl_ctx_st *c,
                                              const char *path);
    int (*SSL_CTX_use_PrivateKey_file)(struct ssl_ctx_st *c, const char *path,
                                       int type);
    int (*SSL_key_update)(struct ssl_st *s, int asked);
    int (*BIO_read)(struct bio_st *b, void *p, int n);
    int (*BIO_write)(struct bio_st *b, const void *p, int n);
} more;

static char folder[] = "/tmp/test_tls.XXXXXX";
static bool usable;

static void *
find(void *library, const char *name)
{
    void *p = dlsym(library, name);
    ck_assert_msg(p != NULL, "no %s", name);
    return p;
}

#define FIND(name) *(void **)(void *)&more.name = find(library, #name)

/* Skips where there is no OpenSSL: the server's comes with Python. */
static bool
load(void)
{
    struct cg_error err = {0};
    void *library = dlopen("libssl.so.3", RTLD_NOW);
    if (library == NULL || !usable) {
        fprintf(stderr, "skipped: no libssl.so.3, or no openssl program\n");
        return false;
    }
    ck_assert_msg(cg_openssl_load("libssl.so.3", &err) == 0, "%s", err.text);
    FIND(TLS_server_method);
    FIND(TLS_client_method);
    FIND(SSL_CTX_new);
    FIND(SSL_set_connect_state);
    FIND(SSL_CTX_use_certificate_chain_file);
    FIND(SSL_CTX_use_PrivateKey_file);
    FIND(SSL_key_update);
    FIND(BIO_read);
    FIND(BIO_write);
    return true;
}

/* ---- two ends ---- */

struct line {
    struct cg_tls *tls;
    struct ssl_ctx_st *server, *client;
    struct cg_transport t;
    int peer;
    struct ssl_st *ssl; /* the client's */
    struct bio_st *in, *out;
};

static struct line
make_line(int version)
{
    struct line l = {0};
    struct cg_error err = {0};
    int ends[2], size = 4096;
    cg_auto(free) char *file = cg_strf("%s/both.pem", folder);
    l.server = more.SSL_CTX_new(more.TLS_server_method());
    l.client = more.SSL_CTX_new(more.TLS_client_method());
    ck_assert_int_eq(more.SSL_CTX_use_certificate_chain_file(l.server, file),
                     1);
    ck_assert_int_eq(more.SSL_CTX_use_PrivateKey_file(l.server, file, 1), 1);
    cg_openssl.SSL_CTX_ctrl(l.client, MIN_VERSION, version, NULL);
    cg_openssl.SSL_CTX_ctrl(l.client, MAX_VERSION, version, NULL);
    const struct cg_tls_context context = {
        .context = l.server,
        .options = cg_openssl.SSL_CTX_get_options(l.server),
        .source = "the test's"};
    const struct cg_tls_options o = {.contexts = &context,
                                     .ncontexts = 1,
                                     .session_context = (const uint8_t *)"t",
                                     .session_context_n = 1,
                                     .keylog_fd = -1};
    ck_assert_msg(cg_tls_new(&o, &l.tls, &err) == 0, "%s", err.text);
    ck_assert_int_eq(socketpair(AF_UNIX,
                                SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                                ends),
                     0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    const struct cg_transport_maker *m = cg_tls_maker(l.tls);
    l.t = cg_transport_with(ends[0], m->make(m, 0));
    l.peer = ends[1];
    l.ssl = cg_openssl.SSL_new(l.client);
    l.in = cg_openssl.BIO_new(cg_openssl.BIO_s_mem());
    l.out = cg_openssl.BIO_new(cg_openssl.BIO_s_mem());
    cg_openssl.SSL_set_bio(l.ssl, l.in, l.out);
    more.SSL_set_connect_state(l.ssl);
    return l;
}

static void
close_line(struct line *l)
{
    cg_transport_close(&l->t);
    close(l->peer);
    cg_openssl.SSL_free(l->ssl);
    cg_tls_free(l->tls);
    cg_openssl.SSL_CTX_free(l->server);
    cg_openssl.SSL_CTX_free(l->client);
}

static enum cg_shaken
shake(struct line *l)
{
    const char *why = "";
    return l->t.state->kind->shake(&l->t, NULL, 0, &why);
}

/* What the server sent goes to the client's buffer. */
static void
client_hears(struct line *l)
{
    char bytes[65536];
    ssize_t n;
    while ((n = recv(l->peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        more.BIO_write(l->in, bytes, (int)n);
    }
}

/* Moves what the client has written out of its buffer. */
static void
client_says(struct line *l, struct cg_buf *to)
{
    char bytes[65536];
    int n;
    while ((n = more.BIO_read(l->out, bytes, sizeof bytes)) > 0) {
        cg_buf_put(to, bytes, (size_t)n);
    }
}

/* The client's flights in pieces of that size. */
static void
shake_hands(struct line *l, size_t piece)
{
    enum cg_shaken what = CG_SHAKEN_MORE;
    int done = 0;
    for (int turn = 0; turn < 10 && (what != CG_SHAKEN_DONE || done != 1);
         turn++) {
        cg_auto(buf) struct cg_buf said = {0};
        client_hears(l);
        done = cg_openssl.SSL_do_handshake(l->ssl);
        client_says(l, &said);
        for (size_t at = 0; at < said.n; at += piece) {
            size_t n = said.n - at < piece ? said.n - at : piece;
            ck_assert_int_eq(send(l->peer, said.p + at, n, 0), (ssize_t)n);
            what = shake(l);
            ck_assert_msg(what == CG_SHAKEN_MORE || what == CG_SHAKEN_DONE,
                          "piece %zu: %d", piece, what);
        }
    }
    ck_assert_int_eq(what, CG_SHAKEN_DONE);
    ck_assert_int_eq(done, 1);
    ck_assert_ptr_nonnull(cg_transport_secure(&l->t));
    char p[CG_TRANSPORT_ROOM];
    ck_assert_int_eq(cg_transport_receive(&l->t, p, sizeof p), -EAGAIN);
}

static struct line
open_line(int version)
{
    struct line l = make_line(version);
    shake_hands(&l, SIZE_MAX / 2);
    return l;
}

static void
client_seals(struct line *l, const char *p, size_t n, struct cg_buf *to)
{
    ck_assert_int_eq(cg_openssl.SSL_write(l->ssl, p, (int)n), (int)n);
    client_says(l, to);
}

/* All that the client can open now. */
static void
client_opens(struct line *l, struct cg_buf *to)
{
    char bytes[65536];
    int n;
    client_hears(l);
    while ((n = cg_openssl.SSL_read(l->ssl, bytes, sizeof bytes)) > 0) {
        cg_buf_put(to, bytes, (size_t)n);
    }
}

#define EACH_VERSION(call)                                                     \
    do {                                                                       \
        if (load()) {                                                          \
            call(TLS12);                                                       \
            call(TLS13);                                                       \
        }                                                                      \
    } while (0)

/* ---- handshakes ---- */

static void
check_pieces(int version)
{
    static const size_t pieces[] = {1, 2, 3, 5, 7, 64, 100, 333, 1000, 100000};
    for (size_t i = 0; i < CG_COUNT(pieces); i++) {
        struct line l = make_line(version);
        shake_hands(&l, pieces[i]);
        const struct cg_secure *s = cg_transport_secure(&l.t);
        ck_assert_int_eq(s->version, version);
        ck_assert_str_eq(s->protocol, version == TLS13 ? "TLSv1.3" : "TLSv1.2");
        ck_assert_ptr_null(s->client);
        close_line(&l);
    }
}

START_TEST(a_handshake_in_pieces_of_every_size)
{
    EACH_VERSION(check_pieces);
}
END_TEST

START_TEST(what_is_no_handshake)
{
    static const struct {
        const char *said;
        enum cg_shaken want;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", CG_SHAKEN_PLAIN},
        {"\x16\x03\x01\x01", CG_SHAKEN_MORE},
        {"\x16\x03\x01\x00\x05hello", CG_SHAKEN_FAILED},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", CG_SHAKEN_FAILED},
        {"", CG_SHAKEN_GONE},
    };
    for (size_t i = 0; load() && i < CG_COUNT(cases); i++) {
        struct line l = make_line(TLS13);
        size_t n = i == 2 ? 10 : strlen(cases[i].said);
        ck_assert_int_eq(send(l.peer, cases[i].said, n, 0), (ssize_t)n);
        if (n == 0) {
            shutdown(l.peer, SHUT_WR);
        }
        enum cg_shaken got = shake(&l);
        ck_assert_msg(got == cases[i].want, "%zu: %d, not %d", i, got,
                      cases[i].want);
        close_line(&l);
    }
}
END_TEST

/* ---- receiving ---- */

static void
check_splits(int version)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct line l = open_line(version);
    size_t length = 2;
    for (size_t k = 1; k < length; k++) {
        cg_auto(buf) struct cg_buf sealed = {0};
        char p[CG_TRANSPORT_ROOM];
        size_t got = 0;
        client_seals(&l, text, 10, &sealed); /* two records */
        client_seals(&l, text + 10, sizeof text - 11, &sealed);
        length = sealed.n;
        for (int half = 0; half < 2; half++) {
            const char *from = half == 0 ? sealed.p : sealed.p + k;
            size_t n = half == 0 ? k : sealed.n - k;
            ck_assert_int_eq(send(l.peer, from, n, 0), (ssize_t)n);
            ssize_t r = cg_transport_receive(&l.t, p + got, sizeof p - 1000);
            ck_assert_msg(r > 0 || r == -EAGAIN, "split %zu: %zd", k, r);
            got += r > 0 ? (size_t)r : 0;
        }
        ck_assert_msg(got == sizeof text - 1 && memcmp(p, text, got) == 0,
                      "split %zu: %zu bytes", k, got);
    }
    close_line(&l);
}

START_TEST(records_are_opened_wherever_they_are_split)
{
    EACH_VERSION(check_splits);
}
END_TEST

static void
check_flood(int version)
{
    struct line l = open_line(version);
    cg_auto(buf) struct cg_buf sealed = {0};
    size_t all = 300 * 1000, sent = 0, got = 0;
    char *text = cg_malloc(all), *p = cg_malloc(CG_TRANSPORT_ROOM);
    for (size_t i = 0; i < all; i++) {
        text[i] = (char)(i * 7 / 5);
    }
    client_seals(&l, text, all, &sealed);
    while (got < all) {
        ssize_t n = send(l.peer, sealed.p + sent, sealed.n - sent, 0);
        sent += n > 0 ? (size_t)n : 0;
        n = cg_transport_receive(&l.t, p, CG_TRANSPORT_ROOM);
        ck_assert_msg(n > 0 || n == -EAGAIN, "%zd", n);
        if (n > 0) {
            ck_assert_int_eq(memcmp(p, text + got, (size_t)n), 0);
            got += (size_t)n;
        }
    }
    free(text);
    free(p);
    close_line(&l);
}

START_TEST(nothing_is_left_where_the_descriptor_does_not_show_it)
{
    EACH_VERSION(check_flood);
}
END_TEST

/* ---- sending ---- */

static void
check_full(int version)
{
    struct line l = open_line(version);
    cg_auto(buf) struct cg_buf opened = {0};
    size_t all = 400 * 1000, at = 0;
    char *text = cg_malloc(all);
    for (size_t i = 0; i < all; i++) {
        text[i] = (char)(i * 13 / 7);
    }
    for (int turn = 0; at < all && turn < 1000; turn++) {
        /* what was not taken comes again, first and unchanged, and in other
         * pieces than before */
        size_t left = all - at, cut = (size_t)(turn * 997 % 5000);
        size_t some = turn % 3 == 0 && left > 1000 ? 1000 : left;
        cut = cut < some ? cut : some;
        const struct iovec parts[] = {{text + at, cut},
                                      {text + at + cut, some - cut}};
        ssize_t n = cg_transport_send(&l.t, parts, 2, false);
        ck_assert_int_ge(n, 0);
        ck_assert_uint_le((size_t)n, some);
        at += (size_t)n;
        client_opens(&l, &opened);
    }
    ck_assert_uint_eq(at, all);
    ck_assert_uint_eq(opened.n, all);
    ck_assert_int_eq(memcmp(opened.p, text, all), 0);
    free(text);
    close_line(&l);
}

START_TEST(a_full_socket_gets_the_same_bytes_again)
{
    EACH_VERSION(check_full);
}
END_TEST

/* Both sides change their keys, in the middle of both directions. */
START_TEST(keys_are_updated)
{
    if (!load()) {
        return;
    }
    struct line l = open_line(TLS13);
    cg_auto(buf) struct cg_buf opened = {0};
    for (size_t i = 1; i <= 20; i++) {
        cg_auto(buf) struct cg_buf said = {0};
        char p[CG_TRANSPORT_ROOM];
        ck_assert_int_eq(more.SSL_key_update(l.ssl, i % 2 == 0), 1);
        client_seals(&l, "question", 8, &said);
        ck_assert_int_eq(send(l.peer, said.p, said.n, 0), (ssize_t)said.n);
        ck_assert_int_eq(cg_transport_receive(&l.t, p, sizeof p), 8);
        const struct iovec part = {(void *)(uintptr_t) "answer", 6};
        ck_assert_int_eq(cg_transport_send(&l.t, &part, 1, false), 6);
        client_opens(&l, &opened);
        ck_assert_uint_eq(opened.n, 6 * i);
    }
    close_line(&l);
}
END_TEST

/* Each asks for an answer that nobody reads at first: what the socket does not
 * take waits, and goes before what is sent next. */
START_TEST(key_updates_get_their_answers_when_there_is_room)
{
    if (!load()) {
        return;
    }
    struct line l = open_line(TLS13);
    char p[CG_TRANSPORT_ROOM];
    for (int i = 0; i < 1000; i++) {
        cg_auto(buf) struct cg_buf said = {0};
        ck_assert_int_eq(more.SSL_key_update(l.ssl, 1), 1);
        ck_assert_int_eq(cg_openssl.SSL_do_handshake(l.ssl), 1);
        client_says(&l, &said);
        ck_assert_int_eq(send(l.peer, said.p, said.n, 0), (ssize_t)said.n);
        ck_assert_int_eq(cg_transport_receive(&l.t, p, sizeof p), -EAGAIN);
    }
    cg_auto(buf) struct cg_buf opened = {0};
    const struct iovec part = {(void *)(uintptr_t) "answer", 6};
    ssize_t n = 0;
    for (int turn = 0; turn < 1000 && (n == 0 || opened.n < 6); turn++) {
        client_opens(&l, &opened);
        n = n == 0 ? cg_transport_send(&l.t, &part, 1, false) : n;
        ck_assert_int_ge(n, 0);
    }
    ck_assert_uint_eq(opened.n, 6);
    close_line(&l);
}
END_TEST

/* ---- the end ---- */

static void
check_ends(int version)
{
    struct line l = open_line(version);
    cg_auto(buf) struct cg_buf said = {0};
    char p[CG_TRANSPORT_ROOM];
    client_seals(&l, "last", 4, &said);
    cg_openssl.SSL_shutdown(l.ssl);
    client_says(&l, &said);
    ck_assert_int_eq(send(l.peer, said.p, said.n, 0), (ssize_t)said.n);
    ck_assert_int_eq(cg_transport_receive(&l.t, p, sizeof p), 4);
    ck_assert(cg_transport_wait(&l.t, POLLIN, 0)); /* the end is shown */
    ck_assert_int_eq(cg_transport_receive(&l.t, p, sizeof p), 0);
    const struct iovec part = {(void *)(uintptr_t) "bye", 3};
    ck_assert_int_eq(cg_transport_send(&l.t, &part, 1, false), 3);
    cg_transport_say_end(&l.t);
    cg_auto(buf) struct cg_buf opened = {0};
    client_opens(&l, &opened);
    ck_assert_uint_eq(opened.n, 3);
    ck_assert(cg_openssl.SSL_get_shutdown(l.ssl) & CG_SSL_RECEIVED_SHUTDOWN);
    ck_assert_int_eq(cg_transport_send(&l.t, &part, 1, false), -EPIPE);
    close_line(&l);
}

START_TEST(ends_are_said_and_heard)
{
    EACH_VERSION(check_ends);
}
END_TEST

static void
check_garbage(int version)
{
    struct line l = open_line(version);
    char p[CG_TRANSPORT_ROOM];
    ck_assert_int_eq(send(l.peer,
                          "\x17\x03\x03\x00\x20 not sealed by anybody "
                          "who knows the key ....",
                          37, 0),
                     37);
    ck_assert_int_eq(cg_transport_receive(&l.t, p, sizeof p), -EPROTO);
    ck_assert_int_eq(cg_transport_receive(&l.t, p, sizeof p), -EPROTO);
    close_line(&l);
}

START_TEST(bytes_that_nobody_sealed_end_it)
{
    EACH_VERSION(check_garbage);
}
END_TEST

int
main(void)
{
    const TTest *const tests[] = {
        a_handshake_in_pieces_of_every_size,
        what_is_no_handshake,
        records_are_opened_wherever_they_are_split,
        nothing_is_left_where_the_descriptor_does_not_show_it,
        a_full_socket_gets_the_same_bytes_again,
        keys_are_updated,
        key_updates_get_their_answers_when_there_is_room,
        ends_are_said_and_heard,
        bytes_that_nobody_sealed_end_it,
    };
    if (mkdtemp(folder) != NULL) {
        cg_auto(free) char *make = cg_strf(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
            "-nodes -keyout %s/k.pem -out %s/c.pem -days 2 -subj /CN=test "
            "2>/dev/null && cat %s/c.pem %s/k.pem >%s/both.pem",
            folder, folder, folder, folder, folder);
        usable = system(make) == 0;
    }
    int failed = run_tests("tls", tests, CG_COUNT(tests));
    cg_auto(free) char *clean = cg_strf("rm -rf %s", folder);
    return system(clean) == 0 ? failed : 1;
}
