/* SPDX-License-Identifier: MIT */
/* The examples of RFC 3174, and every length around the end of a block. */
#include "core/base/sha1.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/check_main.h"

static void
expect(const char *text, size_t n, const char *want)
{
    uint8_t hash[CG_SHA1_SIZE];
    char got[2 * CG_SHA1_SIZE + 1];
    cg_sha1(text, n, hash);
    for (size_t i = 0; i < CG_SHA1_SIZE; i++) {
        snprintf(got + 2 * i, 3, "%02x", hash[i]);
    }
    ck_assert_str_eq(got, want);
}

START_TEST(test_known_hashes)
{
    expect("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    const char *two =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    expect(two, strlen(two), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}
END_TEST

START_TEST(test_lengths_around_a_block)
{
    char as[200];
    memset(as, 'a', sizeof as);
    expect(as, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    expect(as, 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    expect(as, 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
    expect(as, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    expect(as, 65, "11655326c708d70319be2610e8a57d9a5b959d3b");
    expect(as, 128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0");
}
END_TEST

TESTS("sha1", test_known_hashes, test_lengths_around_a_block)
