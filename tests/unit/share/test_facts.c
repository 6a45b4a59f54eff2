/* SPDX-License-Identifier: MIT */
/* What TLS knows of a connection goes to another worker and is the same there;
 * bytes that are none are refused. */
#include "core/share/facts.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static char subject[] = "CN=me\xc3\xa4,O=here", issuer[] = "CN=ca",
            serial[] = "0A", pem[] = "-----BEGIN\nabc\n";

static const struct cg_secure_client client = {.why_not = "it is too old",
                                               .subject = subject,
                                               .issuer = issuer,
                                               .serial = serial,
                                               .pem = pem};

static struct cg_secure
facts(bool with_client)
{
    return (struct cg_secure){.protocol = "TLSv1.3",
                              .cipher = "TLS_AES_256_GCM_SHA384",
                              .version = 0x0304,
                              .suite = 0x1302,
                              .resumed = true,
                              .client = with_client ? &client : NULL};
}

static struct cg_slice
slice_of(const struct cg_buf *b)
{
    return (struct cg_slice){b->p, b->n};
}

START_TEST(what_was_encoded_is_decoded)
{
    for (int with = 0; with < 2; with++) {
        const struct cg_secure s = facts(with != 0);
        cg_auto(buf) struct cg_buf b = {0};
        struct cg_facts got;
        cg_facts_encode(&s, &b);
        ck_assert(cg_facts_decode(slice_of(&b), &got));
        ck_assert_str_eq(got.secure.protocol, "TLSv1.3");
        ck_assert_str_eq(got.secure.cipher, "TLS_AES_256_GCM_SHA384");
        ck_assert_uint_eq(got.secure.version, 0x0304);
        ck_assert_uint_eq(got.secure.suite, 0x1302);
        ck_assert(got.secure.resumed && !got.secure.is_h2);
        if (!with) {
            ck_assert_ptr_null(got.secure.client);
            continue;
        }
        const struct cg_secure_client *c = got.secure.client;
        ck_assert_ptr_eq(c, &got.client);
        ck_assert(!c->verified);
        ck_assert_str_eq(c->why_not, client.why_not);
        ck_assert_str_eq(c->subject, subject);
        ck_assert_str_eq(c->issuer, issuer);
        ck_assert_str_eq(c->serial, serial);
        ck_assert_str_eq(c->pem, pem);
    }
}
END_TEST

START_TEST(no_cut_facts_are_any)
{
    const struct cg_secure s = facts(true);
    cg_auto(buf) struct cg_buf b = {0};
    struct cg_facts got;
    cg_facts_encode(&s, &b);
    for (size_t i = 0; i < b.n; i++) {
        ck_assert(!cg_facts_decode((struct cg_slice){b.p, i}, &got));
    }
    cg_buf_putc(&b, '\0');
    ck_assert(!cg_facts_decode(slice_of(&b), &got));
}
END_TEST

/* An application's environ has these as they are. */
START_TEST(names_that_openssl_does_not_give_are_refused)
{
    static const char *const wrong[] = {"TLS v1", "TLS\n", "\x80", "\xff"};
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        struct cg_secure s = facts(false);
        cg_auto(buf) struct cg_buf b = {0};
        struct cg_facts got;
        s.protocol = wrong[i];
        cg_facts_encode(&s, &b);
        ck_assert(!cg_facts_decode(slice_of(&b), &got));
        s = facts(false);
        s.cipher = wrong[i];
        cg_buf_reset(&b);
        cg_facts_encode(&s, &b);
        ck_assert(!cg_facts_decode(slice_of(&b), &got));
    }
}
END_TEST

/* What it lets through must lie in the bytes; a sanitizer sees the rest. */
START_TEST(noise_does_no_harm)
{
    const struct cg_secure s = facts(true);
    cg_auto(buf) struct cg_buf b = {0};
    unsigned seed = 1;
    cg_facts_encode(&s, &b);
    for (int round = 0; round < 50000; round++) {
        cg_auto(free) char *p = cg_malloc(b.n);
        struct cg_facts got;
        memcpy(p, b.p, b.n);
        for (int k = 0; k < 3; k++) {
            p[(size_t)rand_r(&seed) % b.n] = (char)rand_r(&seed);
        }
        if (cg_facts_decode((struct cg_slice){p, b.n}, &got) &&
            got.secure.client != NULL) {
            ck_assert_uint_lt(strlen(got.client.pem), b.n);
        }
    }
}
END_TEST

TESTS("facts", what_was_encoded_is_decoded, no_cut_facts_are_any,
      names_that_openssl_does_not_give_are_refused, noise_does_no_harm)
