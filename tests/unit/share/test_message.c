/* SPDX-License-Identifier: MIT */
/* Messages of the workers' queue: what is encoded is decoded, and what is not
 * a message is none, whatever it is. */
#include "core/share/message.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/memory.h"
#include "core/share/facts.h"
#include "tests/unit/check_main.h"

enum { LISTENERS = 300 };

static char bytes[sizeof(struct cg_message_header) + CG_MESSAGE_MOST + 1];

static struct cg_message
request(void)
{
    struct cg_message m = {.ready_us = 12345,
                           .requests = 7,
                           .listener = 299,
                           .head = CG_SLICE("GET / HTTP/1.1\r\n\r\n"),
                           .body = CG_SLICE("body"),
                           .trailers = CG_SLICE("a: b\nc:\n"),
                           .rest = CG_SLICE("GET"),
                           .peer = {.family = AF_INET, .port = 80}};
    strcpy(m.peer.addr, "127.0.0.1");
    return m;
}

/* As the kernel joins the parts. */
static size_t
join(const struct cg_message *m)
{
    struct cg_message_header header;
    struct iovec parts[CG_MESSAGE_PARTS];
    size_t n = 0;
    cg_message_encode(m, &header, parts);
    for (int i = 0; i < CG_MESSAGE_PARTS; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(bytes + n, parts[i].iov_base, parts[i].iov_len);
        }
        n += parts[i].iov_len;
    }
    return n;
}

static const char *
decode(size_t n, int nfds)
{
    static const struct cg_message untouched = {.ready_us = 99};
    struct cg_message m = untouched;
    const char *wrong = cg_message_decode(bytes, n, nfds, LISTENERS, &m);
    ck_assert(wrong == NULL || m.ready_us == untouched.ready_us);
    return wrong;
}

static void
check_slice(struct cg_slice got, struct cg_slice wanted)
{
    ck_assert_uint_eq(got.n, wanted.n);
    ck_assert_int_eq(memcmp(got.p, wanted.p, wanted.n), 0);
}

START_TEST(what_was_encoded_is_decoded)
{
    struct cg_message m = request(), got;
    size_t n = join(&m);
    ck_assert_ptr_null(cg_message_decode(bytes, n, 1, LISTENERS, &got));
    ck_assert_uint_eq(got.ready_us, 12345);
    ck_assert_uint_eq(got.requests, 7);
    ck_assert_uint_eq(got.listener, 299);
    ck_assert(!got.has_file);
    check_slice(got.head, m.head);
    check_slice(got.body, m.body);
    check_slice(got.trailers, m.trailers);
    check_slice(got.rest, m.rest);
    ck_assert_str_eq(got.peer.addr, "127.0.0.1");
    ck_assert_uint_eq(got.peer.port, 80);
}
END_TEST

START_TEST(a_body_in_a_file_has_a_descriptor_and_a_length)
{
    struct cg_message m = request(), got;
    m.body.n = 0;
    m.has_file = true;
    m.file_n = 1 << 30;
    size_t n = join(&m);
    ck_assert_ptr_null(cg_message_decode(bytes, n, 2, LISTENERS, &got));
    ck_assert(got.has_file);
    ck_assert_uint_eq(got.file_n, 1 << 30);
    ck_assert_ptr_nonnull(decode(n, 1));
    m.file_n = UINT64_MAX;
    ck_assert_ptr_nonnull(decode(join(&m), 2));
    m = request();
    m.has_file = true; /* and in the message */
    ck_assert_ptr_nonnull(decode(join(&m), 2));
    m = request();
    ck_assert_ptr_nonnull(decode(join(&m), 2));
}
END_TEST

/* Its descriptors: for the reply, for the word, and the body's. */
START_TEST(a_lent_request_says_what_tls_knows)
{
    const struct cg_secure secure = {.protocol = "TLSv1.3", .cipher = "AES"};
    cg_auto(buf) struct cg_buf facts = {0};
    struct cg_message m = request(), got;
    cg_facts_encode(&secure, &facts);
    m.rest.n = 0;
    m.lent = m.is_h2 = m.told_https = true;
    m.facts = (struct cg_slice){facts.p, facts.n};
    ck_assert_int_eq(cg_message_fds(&m), 2);
    size_t n = join(&m);
    ck_assert_ptr_null(cg_message_decode(bytes, n, 2, LISTENERS, &got));
    ck_assert(got.lent && got.is_h2 && got.told_https);
    check_slice(got.facts, m.facts);
    ck_assert_ptr_nonnull(decode(n, 1));
    ck_assert_ptr_nonnull(decode(n, 3));
    m.has_file = true;
    m.body.n = 0;
    ck_assert_int_eq(cg_message_fds(&m), 3);
    ck_assert_ptr_null(decode(join(&m), 3));
}
END_TEST

START_TEST(what_is_lent_and_given_at_once_is_refused)
{
    struct cg_message m = request();
    m.lent = true; /* and more of its connection follows */
    ck_assert_ptr_nonnull(decode(join(&m), 2));
    m = request();
    m.is_h2 = true; /* such a connection does not move */
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m = request();
    m.facts = CG_SLICE("facts");
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m.rest.n = 0;
    m.lent = true; /* these are none */
    ck_assert_ptr_nonnull(decode(join(&m), 2));
    m = (struct cg_message){.requests = 1, .lent = true};
    ck_assert_ptr_nonnull(decode(join(&m), 2)); /* nothing to answer */
}
END_TEST

START_TEST(one_that_waits_has_nothing_but_its_connection)
{
    struct cg_message m = {.requests = 1, .listener = 3};
    ck_assert_ptr_null(decode(join(&m), 1));
    ck_assert_ptr_nonnull(decode(join(&m), 0));
    ck_assert_ptr_nonnull(decode(join(&m), 2));
    m.rest = CG_SLICE("GET / HTTP/1.1\r\n");
    ck_assert_ptr_nonnull(decode(join(&m), 1));
}
END_TEST

START_TEST(no_cut_message_is_one)
{
    const struct cg_message m = request();
    size_t n = join(&m);
    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_nonnull(decode(i, 1));
    }
    ck_assert_ptr_nonnull(decode(n + 1, 1));
}
END_TEST

START_TEST(a_listener_that_there_is_not_is_refused)
{
    struct cg_message m = request(), got;
    m.listener = LISTENERS;
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m.listener = 200;
    ck_assert_ptr_null(decode(join(&m), 1));
    ck_assert_str_eq(cg_message_decode(bytes, join(&m), 1, 1, &got),
                     "there is no such listener");
    m.listener = UINT16_MAX;
    ck_assert_ptr_nonnull(decode(join(&m), 1));
}
END_TEST

START_TEST(trailers_that_are_no_fields_are_refused)
{
    static const char *const wrong[] = {
        "a", "a: b", ":b\n", "\n", "a: b\n\n", "a: b\r\n", "a: b\nc", "ab\n"};
    struct cg_message m = request();
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        m.trailers = (struct cg_slice){wrong[i], strlen(wrong[i])};
        ck_assert_msg(decode(join(&m), 1) != NULL, "'%s'", wrong[i]);
    }
    m.trailers = (struct cg_slice){"a:\0\n", 4};
    ck_assert_ptr_nonnull(decode(join(&m), 1));
}
END_TEST

START_TEST(a_peer_without_an_end_or_a_family_is_refused)
{
    struct cg_message m = request();
    memset(m.peer.addr, 'x', sizeof m.peer.addr);
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m = request();
    memset(m.peer.proxy_addr, 'x', sizeof m.peer.proxy_addr);
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m = request();
    m.peer.family = 77;
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m = request();
    m.peer.trusted = 2;
    ck_assert_ptr_nonnull(decode(join(&m), 1));
    m = request();
    m.peer.proxied = 3;
    ck_assert_ptr_nonnull(decode(join(&m), 1));
}
END_TEST

/* Lengths whose sum is right only when it wraps. */
START_TEST(lengths_that_wrap_around_are_refused)
{
    struct cg_message_header h;
    const struct cg_message m = request();
    size_t n = join(&m);
    memcpy(&h, bytes, sizeof h);
    h.body_n += 0x80000000u;
    h.rest_n += 0x80000000u;
    memcpy(bytes, &h, sizeof h);
    ck_assert_ptr_nonnull(decode(n, 1));
}
END_TEST

/* What it lets through must lie in the message; a sanitizer sees the rest. */
START_TEST(noise_does_no_harm)
{
    unsigned seed = 1;
    for (int round = 0; round < 50000; round++) {
        const struct cg_message m = request();
        struct cg_message got;
        size_t n = join(&m);
        for (int k = 0; k < 3; k++) {
            bytes[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
        }
        if (cg_message_decode(bytes, n, 1, LISTENERS, &got) == NULL) {
            ck_assert_uint_eq(sizeof(struct cg_message_header) + got.head.n +
                                  got.body.n + got.trailers.n + got.rest.n +
                                  got.facts.n,
                              n);
            ck_assert_uint_lt(got.listener, LISTENERS);
            ck_assert_uint_lt(strlen(got.peer.addr), sizeof got.peer.addr);
        }
    }
}
END_TEST

TESTS("message", what_was_encoded_is_decoded,
      a_body_in_a_file_has_a_descriptor_and_a_length,
      a_lent_request_says_what_tls_knows,
      what_is_lent_and_given_at_once_is_refused,
      one_that_waits_has_nothing_but_its_connection, no_cut_message_is_one,
      a_listener_that_there_is_not_is_refused,
      trailers_that_are_no_fields_are_refused,
      a_peer_without_an_end_or_a_family_is_refused,
      lengths_that_wrap_around_are_refused, noise_does_no_harm)
