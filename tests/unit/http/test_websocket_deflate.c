/* SPDX-License-Identifier: MIT */
/* permessage-deflate: offers and answers (RFC 7692, 7.1). */
#include "core/http/websocket/deflate.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define PMD "permessage-deflate"

START_TEST(test_offers_and_answers)
{
    static const struct {
        const char *offers, *want; /* NULL: none can be met */
    } rows[] = {
        {"", NULL},
        {"x-webkit-deflate-frame", NULL},
        {PMD, PMD},
        {"Permessage-Deflate", PMD},
        {PMD " ; ", PMD},
        {PMD "; client_max_window_bits", PMD "; client_max_window_bits=12"},
        {PMD "; client_max_window_bits=15", PMD "; client_max_window_bits=12"},
        {PMD "; client_max_window_bits = \"9\"",
         PMD "; client_max_window_bits=9"},
        {PMD "; client_max_window_bits=8", PMD "; client_max_window_bits=8"},
        {PMD "; server_max_window_bits=15", PMD "; server_max_window_bits=12"},
        {PMD "; server_max_window_bits=9", PMD "; server_max_window_bits=9"},
        {PMD "; server_no_context_takeover; client_no_context_takeover",
         PMD "; server_no_context_takeover; client_no_context_takeover"},
        /* zlib has no window of 8, so the next offer is taken */
        {PMD "; server_max_window_bits=8", NULL},
        {PMD "; server_max_window_bits=8, " PMD, PMD},
        {"x; a=\"b,c;d\", " PMD, PMD},
        {PMD "; server_max_window_bits", NULL},
        {PMD "; server_max_window_bits=7", NULL},
        {PMD "; server_max_window_bits=16", NULL},
        {PMD "; server_max_window_bits=09", NULL},
        {PMD "; server_max_window_bits=1x", NULL},
        {PMD "; server_max_window_bits=1-", NULL},
        {PMD "; server_max_window_bits=21", NULL},
        {PMD "; server_max_window_bits=100", NULL},
        {PMD "; server_max_window_bits=\"12", NULL},
        {PMD "; server_max_window_bits=\"", NULL},
        {PMD "; client_max_window_bits=", NULL},
        {PMD "; client_max_window_bits=7", NULL},
        {PMD "; client_max_window_bits; client_max_window_bits", NULL},
        {PMD "; server_max_window_bits=9; server_max_window_bits=9", NULL},
        {PMD "; server_no_context_takeover=1", NULL},
        {PMD "; client_no_context_takeover; client_no_context_takeover", NULL},
        {PMD "; unknown", NULL},
        {PMD "; unknown, " PMD "; client_max_window_bits=10",
         PMD "; client_max_window_bits=10"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct cg_ws_terms t;
        cg_auto(buf) struct cg_buf got = {0};
        if (cg_ws_terms_choose(cg_slice_of(rows[i].offers), &t)) {
            cg_ws_terms_put(&t, &got);
        }
        const char *want = rows[i].want != NULL ? rows[i].want : "";
        ck_assert_msg(strcmp(cg_buf_str(&got), want) == 0,
                      "%s\n  got  %s\n  want %s", rows[i].offers, got.p, want);
    }
}
END_TEST

START_TEST(test_windows_of_eight_are_read)
{
    struct cg_ws_inflate i = {.bits = 8};
    cg_auto(buf) struct cg_buf out = {0};
    ck_assert_int_eq(cg_ws_inflate_put(&i, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7,
                                       true, 100, &out),
                     0);
    ck_assert_str_eq(cg_buf_str(&out), "Hello");
    cg_ws_inflate_release(&i);
    cg_ws_inflate_release(&i);
}
END_TEST

START_TEST(test_nothing_is_allocated_before_it_is_needed)
{
    struct cg_ws_deflate d = {.bits = 12};
    cg_auto(buf) struct cg_buf out = {0};
    cg_ws_deflate_put(&d, CG_SLICE(""), &out);
    ck_assert_ptr_null(d.z);
    ck_assert_uint_eq(out.n, 1);
    cg_ws_deflate_release(&d);
}
END_TEST

TESTS("websocket_deflate", test_offers_and_answers,
      test_windows_of_eight_are_read,
      test_nothing_is_allocated_before_it_is_needed)
