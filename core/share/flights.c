/* SPDX-License-Identifier: MIT */
#include "core/share/flights.h"

#include <string.h>

enum { TOLD_MOST = 10 };

bool
cg_flight_read(const struct cg_flight *f, struct cg_flight_look *ret)
{
    for (int tries = 0; tries < 100; tries++) {
        uint32_t before = atomic_load(&f->seq);
        if (!atomic_load(&f->running)) {
            return false;
        }
        memcpy(ret->method, f->method, sizeof ret->method);
        memcpy(ret->path, f->path, sizeof ret->path);
        memcpy(ret->peer, f->peer, sizeof ret->peer);
        memcpy(ret->id, f->id, sizeof ret->id);
        ret->since_us = atomic_load(&f->since_us);
        if (before % 2 == 0 && atomic_load(&f->seq) == before) {
            break;
        }
    }
    ret->method[sizeof ret->method - 1] = '\0';
    ret->path[sizeof ret->path - 1] = '\0';
    ret->peer[sizeof ret->peer - 1] = '\0';
    ret->id[sizeof ret->id - 1] = '\0';
    return true;
}

int
cg_flights_count(const struct cg_slot *slot)
{
    int n = 0, used = cg_slot_look(slot).executors;
    for (int i = 0; i < used; i++) {
        n += atomic_load(&slot->flight[i].running) != 0;
    }
    return n;
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
put_flight(struct cg_buf *out, const struct cg_flight_look *f, uint64_t now_us)
{
    uint64_t ms = now_us > f->since_us ? (now_us - f->since_us) / 1000 : 0;
    put_escaped(out, f->method);
    cg_buf_putc(out, ' ');
    put_escaped(out, f->path);
    cg_buf_putf(out, " (for %llu.%llu s, from ",
                (unsigned long long)(ms / 1000),
                (unsigned long long)(ms % 1000 / 100));
    put_escaped(out, f->peer[0] != '\0' ? f->peer : "a unix socket");
    if (f->id[0] != '\0') {
        cg_buf_puts(out, ", request ");
        put_escaped(out, f->id);
    }
    cg_buf_putc(out, ')');
}

int
cg_flights_put(struct cg_buf *out, const struct cg_slot *slot, uint64_t now_us)
{
    int n = 0, used = cg_slot_look(slot).executors;
    for (int i = 0; i < used; i++) {
        struct cg_flight_look copy;
        if (!cg_flight_read(&slot->flight[i], &copy)) {
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
