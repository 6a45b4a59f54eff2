/* SPDX-License-Identifier: MIT */
/* What other processes may see of ours. */
#include "core/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
is_dumpable(void)
{
    return prctl(PR_GET_DUMPABLE);
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
    return is_dumpable();
}

START_TEST(it_is_not_dumped_and_its_limits_stay)
{
    ck_assert_int_eq(in_child(is_dumpable), 1);
    ck_assert_int_eq(in_child(after_no_core), 0);
}
END_TEST

static int
child_of_one_without(void)
{
    return cg_process_no_core() < 0 ? 50 : in_child(is_dumpable);
}

START_TEST(what_it_forks_is_not_dumped_either)
{
    ck_assert_int_eq(in_child(child_of_one_without), 0);
}
END_TEST

/* As another user, whose processes would see each other's memory. */
static int
read_memory_of_one_without(void)
{
    int ready[2], result;
    char path[64], byte;
    if (setresgid(65534, 65534, 65534) < 0 ||
        setresuid(65534, 65534, 65534) < 0 || pipe(ready) < 0) {
        return 60; /* not root */
    }
    prctl(PR_SET_DUMPABLE, 1); /* which the change of users took */
    pid_t pid = fork();
    if (pid == 0) {
        cg_process_no_core();
        result = write(ready[1], "", 1) == 1 ? 0 : 1;
        pause();
        _exit(result);
    }
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    result = read(ready[0], &byte, 1) == 1 && open(path, O_RDONLY) < 0 &&
                     (errno == EACCES || errno == EPERM)
                 ? 0
                 : 1;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return result;
}

START_TEST(its_own_user_cannot_read_its_memory)
{
    if (geteuid() != 0) {
        return;
    }
    ck_assert_int_eq(in_child(read_memory_of_one_without), 0);
}
END_TEST

TESTS("process", it_is_not_dumped_and_its_limits_stay,
      what_it_forks_is_not_dumped_either, its_own_user_cannot_read_its_memory)
