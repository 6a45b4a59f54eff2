/* SPDX-License-Identifier: MIT */
#include "core/base/uuid.h"

#include <stddef.h>
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

/* The two digits of each byte. */
#define SIXTEEN(d)                                                             \
    d "0" d "1" d "2" d "3" d "4" d "5" d "6" d "7" d "8" d "9" d "a" d "b" d  \
      "c" d "d" d "e" d "f"
static const char pairs[] = SIXTEEN("0") SIXTEEN("1") SIXTEEN("2") SIXTEEN("3")
    SIXTEEN("4") SIXTEEN("5") SIXTEEN("6") SIXTEEN("7") SIXTEEN("8")
        SIXTEEN("9") SIXTEEN("a") SIXTEEN("b") SIXTEEN("c") SIXTEEN("d")
            SIXTEEN("e") SIXTEEN("f");

/* Byte i of the UUID, where it has its digits: 8-4-4-4-12. */
static inline void
put_byte(char *to, int i, unsigned char b)
{
    int dashes = (i >= 4) + (i >= 6) + (i >= 8) + (i >= 10);
    memcpy(to + 2 * i + dashes, pairs + 2 * (size_t)b, 2);
}

void
cg_uuid_make(char to[CG_UUID_SIZE])
{
    uint64_t ms = cg_wall_coarse_ms();
    const unsigned char *chance = take_chance();
#pragma GCC unroll 16
    for (int i = 0; i < 6; i++) {
        put_byte(to, i, (unsigned char)(ms >> (40 - 8 * i)));
    }
    put_byte(to, 6, (unsigned char)(0x70 | (chance[0] & 0x0f)));
    put_byte(to, 7, chance[1]);
    put_byte(to, 8, (unsigned char)(0x80 | (chance[2] & 0x3f)));
#pragma GCC unroll 16
    for (int i = 9; i < 16; i++) {
        put_byte(to, i, chance[i - 6]);
    }
    to[8] = to[13] = to[18] = to[23] = '-';
}
