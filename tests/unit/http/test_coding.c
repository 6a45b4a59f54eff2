/* SPDX-License-Identifier: MIT */
/* Accept-Encoding: which codings a client takes, and which it likes best. */
#include "core/http/files/coding.h"

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* "br gzip", best first. */
static const char *
order_of(const char *first, const char *second)
{
    static char text[64];
    struct cg_accepted a = {0};
    enum cg_coding order[CG_CODING_COUNT];
    cg_accepted_read(&a, cg_slice_of(first));
    if (second != NULL) {
        cg_accepted_read(&a, cg_slice_of(second));
    }
    int n = cg_accepted_order(&a, order);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, cg_coding_names[order[i]]);
    }
    return text;
}

START_TEST(the_client_s_weights_come_first_and_then_what_we_like)
{
    static const struct {
        const char *value, *order;
    } rows[] = {
        {"", ""},
        {"gzip", "gzip"},
        {"gzip, deflate, br, zstd", "br zstd gzip"},
        {"gzip;q=1.0, br;q=0.5", "gzip br"},
        {"gzip ; q=0.8 ,br; Q=0.9", "br gzip"},
        {"GZIP;q=0.001", "gzip"},
        {"x-gzip", "gzip"},
        {"*", "br zstd gzip"},
        {"*;q=0", ""},
        {"*;q=0.5, zstd;q=0", "br gzip"},
        {"gzip;q=0", ""},
        {"identity", ""},
        {"identity, gzip", "gzip"},
        {"identity;q=1, gzip;q=0.5", ""},
        {"identity;q=0, gzip", "gzip"},
        {",, ,gzip,", "gzip"},
        {"gzip;level=1;q=0.1", "gzip"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        ck_assert_str_eq(order_of(rows[i].value, NULL), rows[i].order);
    }
    ck_assert_str_eq(order_of("gzip", "br;q=0.5"), "gzip br");
}
END_TEST

START_TEST(a_malformed_weight_takes_its_coding_out)
{
    static const char *const values[] = {
        "gzip;q=2",  "gzip;q=1.001", "gzip;q=",  "gzip;q=0.1234",
        "gzip;q=-1", "gzip;q=1,5",   "gzip;q=a", "gzip;q=10",
    };
    for (size_t i = 0; i < CG_COUNT(values); i++) {
        const char *order = order_of(values[i], NULL);
        /* the comma of 1,5 ends the element: gzip;q=1 is right */
        ck_assert_str_eq(order, i == 5 ? "gzip" : "");
    }
}
END_TEST

TESTS("coding", the_client_s_weights_come_first_and_then_what_we_like,
      a_malformed_weight_takes_its_coding_out)
