/* SPDX-License-Identifier: MIT */
/* Titles of processes: ours, and of those who look for the same memory. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/title.h"
#include "tests/unit/check_main.h"

/* As the kernel lays arguments and environment. */
static char memory[] = "server\0--option\0app:app\0A=first\0B=second";
static char *arguments[] = {memory, memory + 7, memory + 16, NULL};
static char *variables[] = {memory + 24, memory + 32, NULL};

static void
start(void)
{
    environ = variables;
    cg_title_init(3, arguments);
}

/* What setproctitle does: argc - 1 strings back from environ[0], and the first
 * argument in front of them. NULL: it is not there. */
static char *
walk_back(int argc, const char *arg0)
{
    char *p = environ[0] - 1;
    for (int i = argc - 1; i > 0; i--) {
        if (*p != '\0') {
            return NULL;
        }
        for (p--; *p != '\0'; p--) {
        }
    }
    p -= strlen(arg0);
    return p >= memory && strcmp(p, arg0) == 0 ? p : NULL;
}

START_TEST(a_title_is_where_the_arguments_were)
{
    start();
    ck_assert_ptr_null(cg_title_get());
    cg_title_set("worker", "a");
    ck_assert_str_eq(memory, "gunicorn: worker [a]");
    ck_assert_str_eq(cg_title_get(), "gunicorn: worker [a]");
    cg_title_set("master", "b");
    ck_assert_str_eq(memory, "gunicorn: master [b]");
    for (size_t i = strlen(memory); i < sizeof memory; i++) {
        ck_assert_int_eq(memory[i], '\0');
    }
}
END_TEST

START_TEST(a_long_title_is_cut_to_the_room_there_is)
{
    start();
    cg_title_set("worker", "a name that is longer than the memory is");
    ck_assert_uint_eq(strlen(memory), sizeof memory - 1);
    ck_assert_ptr_eq(strstr(memory, "gunicorn: worker [a name"), memory);
}
END_TEST

START_TEST(the_environment_outlives_titles)
{
    start();
    cg_title_set("worker", "the environment's place as well");
    ck_assert_str_eq(getenv("A"), "first");
    ck_assert_str_eq(getenv("B"), "second");
}
END_TEST

START_TEST(others_find_the_memory_while_it_is_lent)
{
    start();
    cg_title_set("worker", "a");
    ck_assert(environ[0] < memory || environ[0] >= memory + sizeof memory);
    cg_title_lend();
    ck_assert_ptr_eq(walk_back(3, "server"), memory);
    ck_assert_str_eq(environ[1], "B=second");
    cg_title_take_back();
    ck_assert_str_eq(memory, "gunicorn: worker [a]");
}
END_TEST

START_TEST(lending_does_not_change_the_environment)
{
    char a[] = "A=first", b[] = "B=second";
    char *copy[] = {a, b, NULL};
    start();
    setenv("A", "changed", 1);
    setenv("C", "third", 1);
    cg_title_lend();
    environ = copy;
    cg_title_take_back();
    ck_assert_str_eq(getenv("A"), "changed");
    ck_assert_str_eq(getenv("C"), "third");
    setenv("D", "fourth", 1);
    ck_assert_str_eq(getenv("D"), "fourth");
    ck_assert_str_eq(copy[0], "A=first");
}
END_TEST

START_TEST(what_was_lent_stays_theirs_without_a_title_of_ours)
{
    start();
    cg_title_lend();
    strcpy(memory, "theirs");
    cg_title_take_back();
    ck_assert_str_eq(memory, "theirs");
    cg_title_take_back(); /* once more does nothing */
    ck_assert_str_eq(getenv("A"), "first");
}
END_TEST

TESTS("title", a_title_is_where_the_arguments_were,
      a_long_title_is_cut_to_the_room_there_is, the_environment_outlives_titles,
      others_find_the_memory_while_it_is_lent,
      lending_does_not_change_the_environment,
      what_was_lent_stays_theirs_without_a_title_of_ours)
