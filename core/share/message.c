/* SPDX-License-Identifier: MIT */
#include "core/share/message.h"

#include <string.h>
#include <sys/socket.h>

#include "core/share/facts.h"

enum { MAGIC = 0x63676833 }; /* "cgh3" */

static struct iovec
part_of(struct cg_slice s)
{
    return (struct iovec){(void *)(size_t)s.p, s.n};
}

void
cg_message_encode(const struct cg_message *m, struct cg_message_header *header,
                  struct iovec parts[CG_MESSAGE_PARTS])
{
    memset(header, 0, sizeof *header); /* what lies between fields, too */
    header->magic = MAGIC;
    header->head_n = (uint32_t)m->head.n;
    header->body_n = (uint32_t)m->body.n;
    header->trailers_n = (uint32_t)m->trailers.n;
    header->rest_n = (uint32_t)m->rest.n;
    header->facts_n = (uint32_t)m->facts.n;
    header->file_n = m->file_n;
    header->ready_us = m->ready_us;
    header->requests = m->requests;
    header->listener = m->listener;
    header->has_file = m->has_file;
    header->lent = m->lent;
    header->is_h2 = m->is_h2;
    header->told_https = m->told_https;
    header->peer = m->peer;
    parts[0] = (struct iovec){header, sizeof *header};
    parts[1] = part_of(m->head);
    parts[2] = part_of(m->body);
    parts[3] = part_of(m->trailers);
    parts[4] = part_of(m->rest);
    parts[5] = part_of(m->facts);
}

/* ---- what came ---- */

static bool
is_text(const char *p, size_t size)
{
    return memchr(p, '\0', size) != NULL;
}

static bool
is_peer(const struct cg_peer *p)
{
    bool family = p->family == AF_UNSPEC || p->family == AF_UNIX ||
                  p->family == AF_INET || p->family == AF_INET6;
    return family && p->trusted <= 1 && p->proxied <= 2 &&
           is_text(p->addr, sizeof p->addr) &&
           is_text(p->proxy_addr, sizeof p->proxy_addr);
}

/* Field lines, each with a name, a colon and LF. */
static bool
are_trailers(struct cg_slice s)
{
    while (s.n > 0) {
        const char *lf = memchr(s.p, '\n', s.n);
        size_t n = lf != NULL ? (size_t)(lf - s.p) : 0;
        const char *colon = n > 0 ? memchr(s.p, ':', n) : NULL;
        if (colon == NULL || colon == s.p || memchr(s.p, '\0', n) != NULL ||
            memchr(s.p, '\r', n) != NULL) {
            return false;
        }
        s = (struct cg_slice){lf + 1, s.n - n - 1};
    }
    return true;
}

static struct cg_slice
take(const char **at, size_t n)
{
    struct cg_slice s = {*at, n};
    *at += n;
    return s;
}

static const char *
check_header(const struct cg_message_header *h, size_t behind, int nfds,
             unsigned listeners)
{
    uint64_t sum = (uint64_t)h->head_n + h->body_n + h->trailers_n + h->rest_n +
                   h->facts_n;
    if (h->magic != MAGIC) {
        return "another version's";
    }
    if (sum != behind || sum > CG_MESSAGE_MOST) {
        return "its lengths are wrong";
    }
    if (h->head_n == 0 && (sum > 0 || h->has_file != 0 || h->lent != 0)) {
        return "it has no head";
    }
    if (h->has_file > 1 || h->lent > 1 || h->is_h2 > h->lent ||
        h->told_https > 1 || nfds != 1 + h->has_file + h->lent) {
        return "its descriptors are not those that it tells of";
    }
    if (h->lent != 0 ? h->rest_n > 0 : h->facts_n > 0) {
        return "its connection is in two places";
    }
    if ((h->has_file != 0 && h->body_n > 0) ||
        (h->has_file != 0 ? h->file_n > INT64_MAX : h->file_n != 0)) {
        return "its body is in two places";
    }
    if (h->listener >= listeners) {
        return "there is no such listener";
    }
    return is_peer(&h->peer) ? NULL : "its peer is nobody";
}

const char *
cg_message_decode(const char *p, size_t n, int nfds, unsigned listeners,
                  struct cg_message *ret_m)
{
    struct cg_message_header h;
    if (n < sizeof h) {
        return "it is cut short";
    }
    if (nfds < 1) {
        return "it has no connection";
    }
    memcpy(&h, p, sizeof h);
    const char *at = p + sizeof h;
    const char *wrong = check_header(&h, n - sizeof h, nfds, listeners);
    if (wrong != NULL) {
        return wrong;
    }
    struct cg_message m = {.ready_us = h.ready_us,
                           .requests = h.requests,
                           .listener = h.listener,
                           .lent = h.lent != 0,
                           .is_h2 = h.is_h2 != 0,
                           .told_https = h.told_https != 0,
                           .has_file = h.has_file != 0,
                           .file_n = h.file_n,
                           .peer = h.peer};
    m.head = take(&at, h.head_n);
    m.body = take(&at, h.body_n);
    m.trailers = take(&at, h.trailers_n);
    m.rest = take(&at, h.rest_n);
    m.facts = take(&at, h.facts_n);
    struct cg_facts facts;
    if (!are_trailers(m.trailers)) {
        return "its trailers are no fields";
    }
    if (m.facts.n > 0 && !cg_facts_decode(m.facts, &facts)) {
        return "what it says of TLS is wrong";
    }
    *ret_m = m;
    return NULL;
}
