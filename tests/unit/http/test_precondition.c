/* SPDX-License-Identifier: MIT */
/* Conditional requests: dates, entity tags, and in which order they count. */
#include "core/http/files/precondition.h"

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"

enum { WHEN = 784111777 };

static const struct cg_validators there = {.etag = {"\"a-1\"", 5},
                                           .modified = WHEN};

START_TEST(three_forms_of_dates_are_read)
{
    static const char *const same[] = {THEN, "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994",
                                       " " THEN " "};
    static const char *const wrong[] = {
        "",
        "yesterday",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nun 1994 08:49:37 GMT",
        "Sun, 06 Nov 199x 08:49:37 GMT",
        "Sun, xx Nov 1994 08:49:37 GMT",
        "Sun; 06 Nov 1994 08:49:37 GMT",
        "Sun,006 Nov 1994 08:49:37 GMT",
        "Sunday,006-Nov-94 08:49:37 GMT",
        "Sunday, 06+Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-xx 08:49:37 GMT",
        "Sun Nov  x 08:49:37 1994",
        "Sun Nov  6 08:49:37 19x4",
        "Sun-Nov  6 08:49:37 1994",
        "Sun Nov  6 08-49:37 1994",
    };
    time_t t;
    for (size_t i = 0; i < CG_COUNT(same); i++) {
        ck_assert_msg(cg_http_date_read(cg_slice_of(same[i]), &t), "%s",
                      same[i]);
        ck_assert_int_eq(t, WHEN);
    }
    ck_assert(cg_http_date_read(cg_slice_of("Sun Nov 16 08:49:37 1994"), &t));
    ck_assert(
        cg_http_date_read(cg_slice_of("Sunday, 06-Nov-69 08:49:37 GMT"), &t));
    ck_assert_int_gt(t, 2147483647); /* 2069 */
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        ck_assert_msg(!cg_http_date_read(cg_slice_of(wrong[i]), &t), "%s",
                      wrong[i]);
    }
}
END_TEST

static struct cg_slice
said(const char *text)
{
    return text != NULL ? cg_slice_of(text) : (struct cg_slice){NULL, 0};
}

START_TEST(the_order_of_preconditions_is_that_of_rfc_9110)
{
    static const struct {
        const char *match, *unmodified, *none_match, *modified;
        enum cg_precondition comes;
    } rows[] = {
        {NULL, NULL, NULL, NULL, CG_CONDITION_HOLDS},
        {"\"a-1\"", NULL, NULL, NULL, CG_CONDITION_HOLDS},
        {"*", NULL, NULL, NULL, CG_CONDITION_HOLDS},
        {"\"b\", \"a-1\"", NULL, NULL, NULL, CG_CONDITION_HOLDS},
        {"W/\"a-1\"", NULL, NULL, NULL, CG_CONDITION_FAILED},
        {"\"b\"", NULL, NULL, NULL, CG_CONDITION_FAILED},
        {"\"a-1\"", EARLIER, NULL, NULL, CG_CONDITION_HOLDS},
        {NULL, EARLIER, NULL, NULL, CG_CONDITION_FAILED},
        {NULL, THEN, NULL, NULL, CG_CONDITION_HOLDS},
        {NULL, "nonsense", NULL, NULL, CG_CONDITION_HOLDS},
        {NULL, NULL, "\"a-1\"", NULL, CG_CONDITION_SAME},
        {NULL, NULL, "W/\"a-1\"", NULL, CG_CONDITION_SAME},
        {NULL, NULL, "*", NULL, CG_CONDITION_SAME},
        {NULL, NULL, "\"b\",W/\"c\" ,\"a-1\"", NULL, CG_CONDITION_SAME},
        {NULL, NULL, "\"b\"", LATER, CG_CONDITION_HOLDS},
        {NULL, NULL, "\"a-1", NULL, CG_CONDITION_HOLDS},
        {NULL, NULL, "a-1", NULL, CG_CONDITION_HOLDS},
        {NULL, NULL, "W/", NULL, CG_CONDITION_HOLDS},
        {NULL, NULL, NULL, EARLIER, CG_CONDITION_HOLDS},
        {NULL, NULL, NULL, THEN, CG_CONDITION_SAME},
        {NULL, NULL, NULL, LATER, CG_CONDITION_SAME},
        {NULL, NULL, NULL, "nonsense", CG_CONDITION_HOLDS},
        {"\"b\"", NULL, "\"a-1\"", NULL, CG_CONDITION_FAILED},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        const struct cg_preconditions c = {
            .match = said(rows[i].match),
            .unmodified_since = said(rows[i].unmodified),
            .none_match = said(rows[i].none_match),
            .modified_since = said(rows[i].modified)};
        ck_assert_msg(cg_precondition(&c, &there) == rows[i].comes, "row %zu",
                      i);
    }
}
END_TEST

START_TEST(if_range_names_exactly_what_is_there)
{
    static const struct {
        const char *value;
        bool holds;
    } rows[] = {{NULL, true},     {"\"a-1\"", true}, {"W/\"a-1\"", false},
                {"\"b\"", false}, {THEN, true},      {LATER, false}};
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        const struct cg_preconditions c = {.if_range = said(rows[i].value)};
        ck_assert_msg(cg_range_holds(&c, &there) == rows[i].holds, "row %zu",
                      i);
    }
}
END_TEST

TESTS("precondition", three_forms_of_dates_are_read,
      the_order_of_preconditions_is_that_of_rfc_9110,
      if_range_names_exactly_what_is_there)
