/* SPDX-License-Identifier: MIT */
#include "core/share/flights.h"

#include <stdbool.h>
#include <string.h>

enum { TOLD_MOST = 10 };

/* A copy that no writer was in the middle of; false: it runs nothing. */
static bool
read_flight(const struct cg_flight *f, struct cg_flight *copy)
{
    for (int tries = 0; tries < 100; tries++) {
        uint32_t before = atomic_load(&f->seq);
        if (!atomic_load(&f->running)) {
            return false;
        }
        memcpy(copy->method, f->method, sizeof copy->method);
        memcpy(copy->path, f->path, sizeof copy->path);
        memcpy(copy->peer, f->peer, sizeof copy->peer);
        atomic_store(&copy->since_us, atomic_load(&f->since_us));
        if (before % 2 == 0 && atomic_load(&f->seq) == before) {
            break;
        }
    }
    copy->method[sizeof copy->method - 1] = '\0';
    copy->path[sizeof copy->path - 1] = '\0';
    copy->peer[sizeof copy->peer - 1] = '\0';
    return true;
}

static void
put_escaped(struct cg_buf *out, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c >= 0x7f || c == '\\') {
            cg_buf_putf(out, "\\x%02x", c);
        } else {
            cg_buf_putc(out, (char)c);
        }
    }
}

static void
put_flight(struct cg_buf *out, const struct cg_flight *f, uint64_t now_us)
{
    uint64_t since = atomic_load(&f->since_us);
    uint64_t ms = now_us > since ? (now_us - since) / 1000 : 0;
    put_escaped(out, f->method);
    cg_buf_putc(out, ' ');
    put_escaped(out, f->path);
    cg_buf_putf(out, " (for %llu.%llu s, from ",
                (unsigned long long)(ms / 1000),
                (unsigned long long)(ms % 1000 / 100));
    put_escaped(out, f->peer[0] != '\0' ? f->peer : "a unix socket");
    cg_buf_putc(out, ')');
}

int
cg_flights_put(struct cg_buf *out, const struct cg_slot *slot, uint64_t now_us)
{
    int n = 0, used = cg_slot_look(slot).executors;
    for (int i = 0; i < used; i++) {
        struct cg_flight copy;
        if (!read_flight(&slot->flight[i], &copy)) {
            continue;
        }
        if (n < TOLD_MOST) {
            cg_buf_puts(out, n > 0 ? ", " : "");
            put_flight(out, &copy, now_us);
        }
        n++;
    }
    if (n > TOLD_MOST) {
        cg_buf_putf(out, " and %d more", n - TOLD_MOST);
    }
    return n;
}
