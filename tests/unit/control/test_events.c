/* SPDX-License-Identifier: MIT */
/* Events: what is kept of trouble, and how much. */
#include "core/control/events.h"

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static const char *
newest(const struct cg_events *e)
{
    return e->n == 0 ? NULL : e->ring[(e->at + e->n - 1) % e->n].text;
}

START_TEST(trouble_is_told_by_its_first_line_and_its_exception)
{
    static const char *const rows[][2] = {
        {"a port is in use", "a port is in use"},
        {"a port is in use\n\n", "a port is in use"},
        {"the hook on_reload\nTraceback (most recent call last):\n"
         "  File \"a.py\", line 1\nOSError: gone\n",
         "the hook on_reload: OSError: gone"},
        {"Traceback (most recent call last):\n  File \"a.py\"\nOSError: gone",
         "OSError: gone"},
        {"Traceback (most recent call last):",
         "Traceback (most recent call last):"},
        {"first\n  indented\n  as well", "first"},
        {"a\x1b[2Jb\tc", "a\\x1b[2Jb\\x09c"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct cg_events e = {0};
        cg_events_trouble(&e, cg_slice_of(rows[i][0]));
        ck_assert_uint_eq(e.n, 1);
        ck_assert_int_eq(e.ring[0].kind, CG_HAPPENED_TROUBLE);
        ck_assert_str_eq(newest(&e), rows[i][1]);
        cg_events_release(&e);
    }
}
END_TEST

START_TEST(the_same_trouble_again_does_not_push_others_out)
{
    struct cg_events e = {0};
    cg_auto(free) char *text = cg_malloc(2000);
    memset(text, 'x', 1999);
    text[1999] = '\0';
    cg_events_add(&e, CG_HAPPENED_START, 0, "it starts");
    for (int i = 0; i < 1000; i++) {
        cg_events_trouble(&e, CG_SLICE("no fork"));
    }
    ck_assert_uint_eq(e.n, 2);
    for (int i = 0; i < 10; i++) { /* the end of it is cut */
        cg_events_trouble(&e, cg_slice_of(text));
    }
    ck_assert_uint_eq(e.n, 3);
    cg_events_trouble(&e, CG_SLICE("no fork"));
    cg_events_trouble(&e, CG_SLICE(""));
    cg_events_trouble(&e, CG_SLICE("\n"));
    ck_assert_uint_eq(e.n, 4);
    for (int i = 0; i < 1000; i++) { /* also once it is full */
        cg_events_add(&e, CG_HAPPENED_SCALE, 0, "%d workers", i);
    }
    cg_events_trouble(&e, CG_SLICE("no fork"));
    cg_events_trouble(&e, CG_SLICE("no fork"));
    ck_assert_uint_eq(e.n, CG_EVENTS_MOST);
    ck_assert_uint_eq(e.count[CG_HAPPENED_TROUBLE], 4);
    ck_assert_str_eq(newest(&e), "no fork");
    cg_events_release(&e);
}
END_TEST

TESTS("events", trouble_is_told_by_its_first_line_and_its_exception,
      the_same_trouble_again_does_not_push_others_out)
