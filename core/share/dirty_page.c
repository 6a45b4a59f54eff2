/* SPDX-License-Identifier: MIT */
#include "core/share/dirty_page.h"

#include <string.h>

enum { SEATS_MOST = 1024 };

size_t
cg_dirty_page_size(int threads)
{
    size_t seats = threads < 1            ? 1
                   : threads > SEATS_MOST ? SEATS_MOST
                                          : (size_t)threads;
    return CG_DIRTY_HEAD + seats * CG_DIRTY_SEAT;
}

int
cg_dirty_seats(const void *page, size_t n)
{
    return page != NULL && n > CG_DIRTY_HEAD
               ? (int)((n - CG_DIRTY_HEAD) / CG_DIRTY_SEAT)
               : 0;
}

static const char *
seat_at(const void *page, int seat)
{
    return (const char *)page + CG_DIRTY_HEAD + (size_t)seat * CG_DIRTY_SEAT;
}

static uint64_t
number_at(const char *p)
{
    uint64_t n;
    memcpy(&n, p, sizeof n);
    return n;
}

struct cg_dirty_look
cg_dirty_look(const void *page, size_t n)
{
    struct cg_dirty_look look = {.seats = cg_dirty_seats(page, n)};
    if (look.seats > 0) {
        uint32_t booted;
        memcpy(&booted, page, sizeof booted);
        look.booted = booted != 0;
    }
    for (int i = 0; i < look.seats; i++) {
        const char *p = seat_at(page, i);
        look.busy += number_at(p) != 0;
        look.calls += number_at(p + 8);
        look.failed += number_at(p + 16);
    }
    return look;
}

bool
cg_dirty_read_call(const void *page, size_t n, int seat,
                   struct cg_dirty_call *ret)
{
    if (seat < 0 || seat >= cg_dirty_seats(page, n)) {
        return false;
    }
    const char *p = seat_at(page, seat);
    ret->since_us = number_at(p);
    memcpy(ret->what, p + CG_DIRTY_WHAT, sizeof ret->what);
    ret->what[sizeof ret->what - 1] = '\0';
    return ret->since_us != 0;
}

bool
cg_dirty_app(const void *page, size_t n, int i, char *out, size_t size)
{
    char names[CG_DIRTY_HEAD - CG_DIRTY_NAMES];
    if (cg_dirty_seats(page, n) == 0) {
        return false;
    }
    memcpy(names, (const char *)page + CG_DIRTY_NAMES, sizeof names);
    names[sizeof names - 1] = '\0';
    const char *p = names;
    for (; i > 0 && *p != '\0'; i--) {
        p += strlen(p) + 1;
        if (p >= names + sizeof names) {
            return false;
        }
    }
    size_t length = strnlen(p, size - 1);
    memcpy(out, p, length);
    out[length] = '\0';
    return length > 0;
}
