/* SPDX-License-Identifier: MIT */
/* What a copy of a process gives back, and what it keeps. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/shed.h"
#include "tests/unit/check_main.h"

enum { MUCH = 16 << 20 };

/* Resident pages of MUCH bytes from p on. */
static int
resident(void *p)
{
    unsigned char page[MUCH / 4096];
    int n = 0;
    if (mincore(p, MUCH, page) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof page; i++) {
        n += page[i] & 1;
    }
    return n;
}

/* What the keeper does afterwards. */
static bool
goes_on(void)
{
    struct pollfd p = {.fd = -1};
    return poll(&p, 1, 0) == 0 && cg_now_us() > 0 && close(-1) < 0 &&
           errno == EBADF && getppid() > 0;
}

static int
in_copy(char *mine, const char *shared)
{
    char here[64] = "on the stack";
    cg_memory_shed();
    if (strcmp(here, "on the stack") != 0 || !goes_on()) {
        return 1;
    }
    if (shared[MUCH - 1] != 's') {
        return 2;
    }
    return resident(mine) <= 1 || mine[MUCH / 2] == 0 ? 0 : 3;
}

START_TEST(a_copy_drops_what_only_it_has)
{
    void *mine = mmap(NULL, MUCH, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, MUCH, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    memset(mine, 'm', MUCH);
    memset(shared, 's', MUCH);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(in_copy(mine, shared));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    ck_assert_int_eq(status, 3 << 8);
#else
    ck_assert_int_eq(status, 0);
#endif
    ck_assert_int_eq(((char *)mine)[MUCH / 2], 'm'); /* ours is ours */
    munmap(mine, MUCH);
    munmap(shared, MUCH);
}
END_TEST

TESTS("shed", a_copy_drops_what_only_it_has)
