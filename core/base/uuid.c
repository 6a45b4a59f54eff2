/* SPDX-License-Identifier: MIT */
#include "core/base/uuid.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"

enum { CHANCE = 10, POOL = CHANCE * 51 };

/* The kernel is asked for many at once: 256 bytes come in one piece always
 * (getrandom(2)), more of them nearly so. */
static const unsigned char *
take_chance(void)
{
    static __thread unsigned char pool[POOL];
    static __thread size_t left;
    if (left == 0) {
        size_t n = 0;
        while (n < POOL) {
            ssize_t got = getrandom(pool + n, POOL - n, 0);
            n += got > 0 ? (size_t)got : 0;
        }
        left = POOL;
    }
    left -= CHANCE;
    return pool + left;
}

void
cg_uuid_make(char to[CG_UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char b[16];
    uint64_t ms = cg_wall_us() / 1000;
    for (int i = 0; i < 6; i++) {
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    memcpy(b + 6, take_chance(), CHANCE);
    b[6] = (unsigned char)(0x70 | (b[6] & 0x0f));
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            to[at++] = '-';
        }
        to[at++] = digits[b[i] >> 4];
        to[at++] = digits[b[i] & 15];
    }
}
