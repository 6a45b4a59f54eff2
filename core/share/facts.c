/* SPDX-License-Identifier: MIT */
/* Facts as bytes: numbers of a fixed size, then strings that each end with NUL.
 */
#include "core/share/facts.h"

#include <stdint.h>

/* No byte lies between its fields. */
struct numbers {
    uint16_t version, suite;
    uint8_t resumed, is_h2, has_client, verified;
};

enum { OF_ALL = 2, OF_CLIENT = 5 }; /* strings */

static void
put_text(struct cg_buf *to, const char *text)
{
    cg_buf_put(to, text, strlen(text) + 1);
}

void
cg_facts_encode(const struct cg_secure *s, struct cg_buf *to)
{
    const struct cg_secure_client *c = s->client;
    const struct numbers numbers = {.version = s->version,
                                    .suite = s->suite,
                                    .resumed = s->resumed,
                                    .is_h2 = s->is_h2,
                                    .has_client = c != NULL,
                                    .verified = c != NULL && c->verified};
    cg_buf_put(to, &numbers, sizeof numbers);
    put_text(to, s->protocol);
    put_text(to, s->cipher);
    if (c != NULL) {
        put_text(to, c->why_not);
        put_text(to, c->subject);
        put_text(to, c->issuer);
        put_text(to, c->serial);
        put_text(to, c->pem);
    }
}

/* ---- what came ---- */

/* All of them, and nothing behind. */
static bool
take_texts(struct cg_slice s, int n, const char *ret_text[])
{
    for (int i = 0; i < n; i++) {
        const char *end = s.n > 0 ? memchr(s.p, '\0', s.n) : NULL;
        if (end == NULL) {
            return false;
        }
        ret_text[i] = s.p;
        s.n -= (size_t)(end + 1 - s.p);
        s.p = end + 1;
    }
    return s.n == 0;
}

/* Names that OpenSSL gives: an application's environ takes them as they are. */
static bool
is_name(const char *text)
{
    while (*text > ' ' && *text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

static bool
are_numbers(const struct numbers *n)
{
    return n->resumed <= 1 && n->is_h2 <= 1 && n->has_client <= 1 &&
           n->verified <= n->has_client;
}

/* "owned" is the word of who learns it of OpenSSL; nobody changes it. */
static char *
borrowed(const char *text)
{
    return (char *)(uintptr_t)text;
}

bool
cg_facts_decode(struct cg_slice bytes, struct cg_facts *ret_f)
{
    const char *text[OF_ALL + OF_CLIENT] = {NULL};
    struct numbers n;
    if (bytes.n < sizeof n) {
        return false;
    }
    memcpy(&n, bytes.p, sizeof n);
    struct cg_slice rest = {bytes.p + sizeof n, bytes.n - sizeof n};
    int count = n.has_client != 0 ? OF_ALL + OF_CLIENT : OF_ALL;
    if (!are_numbers(&n) || !take_texts(rest, count, text) ||
        !is_name(text[0]) || !is_name(text[1])) {
        return false;
    }
    ret_f->client = (struct cg_secure_client){.verified = n.verified != 0,
                                              .why_not = text[2],
                                              .subject = borrowed(text[3]),
                                              .issuer = borrowed(text[4]),
                                              .serial = borrowed(text[5]),
                                              .pem = borrowed(text[6])};
    ret_f->secure =
        (struct cg_secure){.protocol = text[0],
                           .cipher = text[1],
                           .version = n.version,
                           .suite = n.suite,
                           .resumed = n.resumed != 0,
                           .is_h2 = n.is_h2 != 0,
                           .client = n.has_client ? &ret_f->client : NULL};
    return true;
}
