/* SPDX-License-Identifier: MIT */
/* Heads read in one piece and byte by byte: both have to tell the same. */
#ifndef CG_TESTS_HEADS_H
#define CG_TESTS_HEADS_H

#include <check.h>

#include "tests/unit/http/told.h"

static inline void
expect_head_n(const struct cg_head_policy *policy, bool trusted,
              const char *text, size_t n, const char *want)
{
    cg_auto(free) char *whole = told_in_steps(policy, trusted, text, n, n);
    cg_auto(free) char *bytes = told_in_steps(policy, trusted, text, n, 1);
    ck_assert_msg(strcmp(whole, want) == 0, "for\n%.200s\n  want %s\n  got  %s",
                  text, want, whole);
    ck_assert_msg(strcmp(bytes, want) == 0,
                  "byte by byte, for\n%.200s\n  want %s\n  got  %s", text, want,
                  bytes);
    cg_auto(free) char *again =
        told_with_memo(policy, trusted, text, n, text, n);
    ck_assert_msg(strcmp(again, want) == 0,
                  "the second time, for\n%.200s\n  want %s\n  got  %s", text,
                  want, again);
}

struct head_row {
    const char *text, *want;
};

/* What a reader remembers of another head changes nothing. */
static inline void
expect_after(const struct cg_head_policy *policy, bool trusted,
             const struct head_row *row, const struct head_row *before)
{
    cg_auto(free) char *got =
        told_with_memo(policy, trusted, row->text, strlen(row->text),
                       before->text, strlen(before->text));
    ck_assert_msg(strcmp(got, row->want) == 0,
                  "after\n%.200s, for\n%.200s\n  want %s\n  got  %s",
                  before->text, row->text, row->want, got);
}

static inline void
expect_heads(const struct cg_head_policy *policy, bool trusted,
             const struct head_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect_head_n(policy, trusted, rows[i].text, strlen(rows[i].text),
                      rows[i].want);
        expect_after(policy, trusted, &rows[i], &rows[i > 0 ? i - 1 : n - 1]);
    }
}

/* Rows of { text, what is told } under a policy. */
#define HEADS(policy, trusted, ...)                                            \
    do {                                                                       \
        static const struct head_row rows[] = {__VA_ARGS__};                   \
        expect_heads(policy, trusted, rows, CG_COUNT(rows));                   \
    } while (0)

#define DEFAULTS (&cg_head_policy_default)

/* A policy that differs from the defaults in what is named. */
#define POLICY(name, ...)                                                      \
    struct cg_head_policy name = cg_head_policy_default;                       \
    do {                                                                       \
        struct cg_head_policy *P = &name;                                      \
        __VA_ARGS__;                                                           \
    } while (0)

#endif
