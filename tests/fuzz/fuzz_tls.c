/* SPDX-License-Identifier: MIT */
/*
 * The records of TLS: whatever a client sends, in whatever pieces, what is
 * received is what it sealed, in its order, and nothing after bytes that it did
 * not seal; what is sent is what it opens. The client is OpenSSL on buffers in
 * memory; its handshake is whole, or (by the first byte) the input's own bytes.
 */
#include <dlfcn.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"
#include "core/net/openssl.h"
#include "core/net/tls.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { TLS12 = 0x0303, TLS13 = 0x0304, MIN_VERSION = 123, MAX_VERSION = 124 };

/* What only this needs of it. */
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

static struct cg_tls *tls;
static struct ssl_ctx_st *clients[2]; /* 1.2 and 1.3 */

static bool
find_more(void)
{
    void *library = dlopen("libssl.so.3", RTLD_NOW);
    struct cg_error err = {0};
    if (library == NULL || cg_openssl_load("libssl.so.3", &err) < 0) {
        return false;
    }
#define FIND(name) *(void **)(void *)&more.name = dlsym(library, #name)
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

/* A key and its certificate by the program openssl, for this run. */
static bool
make_server(struct ssl_ctx_st *server)
{
    char folder[] = "/tmp/fuzz_tls.XXXXXX";
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    cg_auto(free) char *make = cg_strf(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-keyout %s/k -out %s/c -days 2 -subj /CN=test 2>/dev/null",
        folder, folder);
    cg_auto(free) char *certificate = cg_strf("%s/c", folder);
    cg_auto(free) char *key = cg_strf("%s/k", folder);
    cg_auto(free) char *clean = cg_strf("rm -rf %s", folder);
    bool good =
        system(make) == 0 &&
        more.SSL_CTX_use_certificate_chain_file(server, certificate) == 1 &&
        more.SSL_CTX_use_PrivateKey_file(server, key, 1) == 1;
    return system(clean) == 0 && good;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct cg_error err = {0};
    if (!find_more()) {
        fprintf(stderr, "there is no libssl.so.3: nothing is tried\n");
        return 0;
    }
    struct ssl_ctx_st *server = more.SSL_CTX_new(more.TLS_server_method());
    EXPECT(make_server(server), "the program openssl makes a certificate");
    for (int i = 0; i < 2; i++) {
        clients[i] = more.SSL_CTX_new(more.TLS_client_method());
        cg_openssl.SSL_CTX_ctrl(clients[i], MIN_VERSION, TLS12 + i, NULL);
        cg_openssl.SSL_CTX_ctrl(clients[i], MAX_VERSION, TLS12 + i, NULL);
    }
    const struct cg_tls_context context = {
        .context = server,
        .options = cg_openssl.SSL_CTX_get_options(server),
        .source = "the fuzzer's"};
    const struct cg_tls_options o = {.contexts = &context,
                                     .ncontexts = 1,
                                     .session_context = (const uint8_t *)"f",
                                     .session_context_n = 1,
                                     .keylog_fd = -1};
    EXPECT(cg_tls_new(&o, &tls, &err) == 0, "%s", err.text);
    return 0;
}

/* ---- two ends ---- */

struct line {
    struct cg_transport t;
    int peer;
    struct ssl_st *ssl; /* the client's */
    struct bio_st *in, *out;
    struct cg_buf
        sealed;         /* plain bytes of the client's that were not received */
    struct cg_buf sent; /* and of the server's that were not opened */
    bool spoiled;       /* somebody else's bytes were sent as the client's */
    bool ended;         /* the server's end is over */
    uint8_t next;       /* of what is sealed or sent: all bytes differ */
};

static struct line
make_line(struct ssl_ctx_st *client)
{
    struct line l = {0};
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                      ends) == 0,
           "a socketpair");
    const struct cg_transport_maker *m = cg_tls_maker(tls);
    l.t = cg_transport_with(ends[0], m->make(m, 0));
    l.peer = ends[1];
    l.ssl = cg_openssl.SSL_new(client);
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
    cg_buf_release(&l->sealed);
    cg_buf_release(&l->sent);
}

static enum cg_shaken
shake(struct line *l)
{
    const char *why = "";
    enum cg_shaken what = l->t.state->kind->shake(&l->t, NULL, 0, &why);
    EXPECT(what != CG_SHAKEN_FAILED || *why != '\0', "a failure has a reason");
    return what;
}

static void
client_hears(struct line *l)
{
    char bytes[65536];
    ssize_t n;
    while ((n = recv(l->peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        more.BIO_write(l->in, bytes, (int)n);
    }
}

/* What the client has written goes over the line, some bytes of it wrong. */
static void
client_says(struct line *l, unsigned spoil)
{
    char bytes[4096];
    int n;
    while ((n = more.BIO_read(l->out, bytes, sizeof bytes)) > 0) {
        if (spoil != 0) {
            bytes[spoil % (unsigned)n] ^= (char)(spoil | 1);
            l->spoiled = true;
        }
        if (send(l->peer, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
            l->spoiled = true; /* the server took no more: it has ended */
        }
    }
}

static bool
shake_hands(struct line *l)
{
    enum cg_shaken what = CG_SHAKEN_MORE;
    int done = 0;
    for (int turn = 0; turn < 10 && (what != CG_SHAKEN_DONE || done != 1);
         turn++) {
        client_hears(l);
        done = cg_openssl.SSL_do_handshake(l->ssl);
        client_says(l, 0);
        what = shake(l);
    }
    return what == CG_SHAKEN_DONE && done == 1;
}

/* ---- what the input chooses ---- */

static void
fill(struct line *l, char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)l->next++;
    }
}

static void
seal(struct line *l, unsigned size, unsigned spoil)
{
    char bytes[16384];
    size_t n = 1 + size * 64 % sizeof bytes;
    fill(l, bytes, n);
    if (cg_openssl.SSL_write(l->ssl, bytes, (int)n) == (int)n) {
        cg_buf_put(&l->sealed, bytes, n);
        client_says(l, spoil);
    }
}

static void
receive(struct line *l)
{
    static char p[CG_TRANSPORT_ROOM];
    ssize_t n = cg_transport_receive(&l->t, p, sizeof p);
    EXPECT(n < 0 || (size_t)n <= l->sealed.n, "%zd of %zu", n, l->sealed.n);
    if (n > 0) {
        EXPECT(!l->ended, "bytes after the end");
        EXPECT(memcmp(p, l->sealed.p, (size_t)n) == 0, "the client's bytes");
        cg_buf_drop(&l->sealed, (size_t)n);
    }
    l->ended = l->ended || (n <= 0 && n != -EAGAIN);
    EXPECT(!l->ended || l->spoiled || l->sealed.n == 0 || n == -EPIPE,
           "an end that nobody caused");
}

static void
respond(struct line *l, unsigned size)
{
    char bytes[8192];
    size_t n = 1 + size * 32 % sizeof bytes;
    fill(l, bytes, n);
    const struct iovec parts[] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
    ssize_t taken = cg_transport_send(&l->t, parts, 2, false);
    EXPECT(taken <= (ssize_t)n, "%zd of %zu", taken, n);
    if (taken > 0) {
        cg_buf_put(&l->sent, bytes, (size_t)taken);
    }
    for (size_t at = taken > 0 ? (size_t)taken : 0; taken >= 0 && at < n;) {
        const struct iovec rest = {bytes + at, n - at};
        client_hears(l);
        taken = cg_transport_send(&l->t, &rest, 1, false);
        if (taken > 0) { /* what was not taken comes again */
            cg_buf_put(&l->sent, bytes + at, (size_t)taken);
            at += (size_t)taken;
        }
    }
}

static void
open_reply(struct line *l)
{
    char bytes[65536];
    int n;
    client_hears(l);
    while ((n = cg_openssl.SSL_read(l->ssl, bytes, sizeof bytes)) > 0) {
        EXPECT((size_t)n <= l->sent.n, "%d of %zu", n, l->sent.n);
        EXPECT(memcmp(bytes, l->sent.p, (size_t)n) == 0, "the server's bytes");
        cg_buf_drop(&l->sent, (size_t)n);
    }
    client_says(l, 0); /* alerts, answers to KeyUpdate */
}

static void
send_raw(struct line *l, struct fuzz_input *in)
{
    size_t n = fuzz_byte(in);
    n = n < in->n ? n : in->n;
    if (n > 0 && send(l->peer, in->p, n, MSG_NOSIGNAL) == (ssize_t)n) {
        l->spoiled = true;
    }
    in->p += n;
    in->n -= n;
}

static void
end(struct line *l, unsigned how)
{
    if (how % 3 == 0) {
        cg_openssl.SSL_shutdown(l->ssl);
        client_says(l, 0);
    } else if (how % 3 == 1) {
        shutdown(l->peer, SHUT_WR);
    } else {
        cg_transport_say_end(&l->t);
    }
    l->spoiled = true; /* what follows is not for the server */
}

static void
choose(struct line *l, struct fuzz_input *in)
{
    switch (fuzz_byte(in) % 8) {
    case 0:
    case 1: seal(l, fuzz_byte(in), 0); break;
    case 2: seal(l, fuzz_byte(in), fuzz_byte(in)); break;
    case 3: receive(l); break;
    case 4: respond(l, fuzz_byte(in)); break;
    case 5: send_raw(l, in); break;
    case 6:
        more.SSL_key_update(l->ssl, (int)(fuzz_byte(in) & 1));
        cg_openssl.SSL_do_handshake(l->ssl);
        client_says(l, 0);
        break;
    case 7: end(l, fuzz_byte(in)); break;
    }
    open_reply(l);
}

/* The input's bytes are all that the server sees. */
static void
shake_with(struct line *l, struct fuzz_input *in)
{
    enum cg_shaken what = CG_SHAKEN_MORE;
    while (in->n > 0 && what == CG_SHAKEN_MORE) {
        send_raw(l, in);
        what = shake(l);
        EXPECT(what != CG_SHAKEN_DONE, "nobody shook hands");
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    if (tls == NULL) {
        return 0;
    }
    unsigned how = fuzz_byte(&in);
    struct line l = make_line(clients[how & 1]);
    if ((how & 0xf0) == 0xf0) {
        shake_with(&l, &in);
    } else {
        EXPECT(shake_hands(&l), "a handshake");
        while (in.n > 0) {
            choose(&l, &in);
        }
        receive(&l);
    }
    close_line(&l);
    return 0;
}
