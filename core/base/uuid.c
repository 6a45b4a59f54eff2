/* SPDX-License-Identifier: MIT */
#include "core/base/uuid.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/*
 * A thread makes the digits of chance for many at once: the kernel is asked
 * seldom, and the loops below are elementwise, so that compilers use vectors
 * for them. Which digit comes from which bits is all the same with chance.
 */
enum { POOL = 32, HALF = 9, DIGITS = 2 * HALF };

struct digits {
    int left;
    uint32_t
        high; /* the upper bits of the time, and their digits: a minute's */
    char eight[8];
    char plain[POOL * DIGITS];
    char variant[POOL];
};

static void
take_chance(unsigned char *to, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        to += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
}

static inline char
digit(unsigned char nibble)
{
    return (char)(nibble + '0' + (nibble > 9 ? 'a' - '0' - 10 : 0));
}

static void
fill(struct digits *d)
{
    unsigned char chance[POOL * HALF + POOL];
    take_chance(chance, sizeof chance);
    for (int i = 0; i < POOL * HALF; i++) {
        d->plain[i] = digit(chance[i] >> 4);
    }
    for (int i = 0; i < POOL * HALF; i++) {
        d->plain[POOL * HALF + i] = digit(chance[i] & 15);
    }
    for (int i = 0; i < POOL; i++) { /* 10xx (RFC 9562, 4.1): 8, 9, a, b */
        d->variant[i] = digit(8 | (chance[POOL * HALF + i] & 3));
    }
    d->left = POOL;
}

static void
put_high(struct digits *d, uint32_t high)
{
    d->high = high;
    for (int i = 0; i < 8; i++) {
        d->eight[i] = digit((high >> (28 - 4 * i)) & 15);
    }
}

/* The two digits of each byte. */
#define SIXTEEN(d)                                                             \
    d "0" d "1" d "2" d "3" d "4" d "5" d "6" d "7" d "8" d "9" d "a" d "b" d  \
      "c" d "d" d "e" d "f"
static const char pairs[] = SIXTEEN("0") SIXTEEN("1") SIXTEEN("2") SIXTEEN("3")
    SIXTEEN("4") SIXTEEN("5") SIXTEEN("6") SIXTEEN("7") SIXTEEN("8")
        SIXTEEN("9") SIXTEEN("a") SIXTEEN("b") SIXTEEN("c") SIXTEEN("d")
            SIXTEEN("e") SIXTEEN("f");

/* Some digits are put where a dash comes next: four at once are cheaper. */
static inline void
put(char *to, struct digits *d, uint64_t ms)
{
    int left = --d->left;
    const char *plain = d->plain + (size_t)left * DIGITS;
    memcpy(to, d->eight, 8);
    memcpy(to + 9, pairs + 2 * (ms >> 8 & 0xff), 2);
    memcpy(to + 11, pairs + 2 * (ms & 0xff), 2);
    memcpy(to + 13, "-7", 2);
    memcpy(to + 15, plain, 4);
    memcpy(to + 20, plain + 3, 4);
    memcpy(to + 24, plain + 6, 12);
    to[19] = d->variant[left];
    to[8] = to[18] = to[23] = '-';
}

static __attribute__((noinline)) void
renew(char *to, struct digits *d, uint64_t ms)
{
    put_high(d, (uint32_t)(ms >> 16));
    if (d->left == 0) {
        fill(d);
    }
    put(to, d, ms);
}

void
cg_uuid_make(char to[CG_UUID_SIZE], uint64_t ms)
{
    static __thread struct digits d;
    if (__builtin_expect(d.left == 0 || (uint32_t)(ms >> 16) != d.high, 0)) {
        renew(to, &d, ms);
    } else {
        put(to, &d, ms);
    }
}
