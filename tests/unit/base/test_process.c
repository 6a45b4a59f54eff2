/* SPDX-License-Identifier: MIT */
/* What other processes may see of ours. */
#include "core/base/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

/* What the function says, in a process of its own: this one stays as it was. */
static int
in_child(int (*f)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(f());
    }
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int
after_no_core(void)
{
    struct rlimit before, after;
    getrlimit(RLIMIT_CORE, &before);
    if (cg_process_no_core() < 0) {
        return 50;
    }
    getrlimit(RLIMIT_CORE, &after);
    if (before.rlim_cur != after.rlim_cur ||
        before.rlim_max != after.rlim_max) {
        return 51;
    }
    return cg_process_core_filter() == 0 && prctl(PR_GET_DUMPABLE) == 1 ? 0
                                                                        : 52;
}

START_TEST(its_memory_is_not_dumped_and_its_limits_stay)
{
    ck_assert_int_gt(cg_process_core_filter(), 0);
    ck_assert_int_eq(in_child(after_no_core), 0);
    ck_assert_int_gt(cg_process_core_filter(), 0);
}
END_TEST

static int
filter_is_empty(void)
{
    return cg_process_core_filter() == 0 ? 0 : 1;
}

static int
child_of_one_without(void)
{
    return cg_process_no_core() < 0 ? 50 : in_child(filter_is_empty);
}

START_TEST(what_it_forks_is_not_dumped_either)
{
    ck_assert_int_eq(in_child(child_of_one_without), 0);
}
END_TEST

static int
back_again(void)
{
    int before = cg_process_core_filter();
    return cg_process_no_core() == 0 &&
                   cg_process_set_core_filter(before) == 0 &&
                   cg_process_core_filter() == before
               ? 0
               : 1;
}

START_TEST(what_was_dumped_before_can_be_asked_for_again)
{
    ck_assert_int_eq(in_child(back_again), 0);
}
END_TEST

TESTS("process", its_memory_is_not_dumped_and_its_limits_stay,
      what_it_forks_is_not_dumped_either,
      what_was_dumped_before_can_be_asked_for_again)
