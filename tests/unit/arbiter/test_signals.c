/* SPDX-License-Identifier: MIT */
/* Signals of the master, as they come out of its pipe. */
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "core/arbiter/signals.h"
#include "tests/unit/check_main.h"

static void
start(void)
{
    int fd;
    struct cg_error err = {0};
    ck_assert_int_eq(cg_signals_init(&fd, &err), 0);
}

static void
block(int how, int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(how, &set, NULL);
}

static bool
is_pending(int sig)
{
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, sig) == 1;
}

START_TEST(signals_come_out_in_order)
{
    start();
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGTTOU);
    kill(getpid(), SIGHUP);
    ck_assert_int_eq(cg_signals_next(), SIGHUP);
    ck_assert_int_eq(cg_signals_next(), SIGTTOU);
    ck_assert_int_eq(cg_signals_next(), SIGHUP);
    ck_assert_int_eq(cg_signals_next(), 0);
}
END_TEST

/* While TTIN came again and again, TTOU was not delivered at all. That TTIN is
 * the first is made sure of by blocking the others. */
START_TEST(one_kind_brings_those_that_wait_along)
{
    start();
    block(SIG_BLOCK, SIGTTIN);
    block(SIG_BLOCK, SIGTTOU);
    block(SIG_BLOCK, SIGTERM);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGTTOU);
    kill(getpid(), SIGTTIN);
    block(SIG_UNBLOCK, SIGTTIN);
    ck_assert_int_eq(cg_signals_next(), SIGTTIN);
    int second = cg_signals_next(), third = cg_signals_next();
    ck_assert((second == SIGTTOU && third == SIGTERM) ||
              (second == SIGTERM && third == SIGTTOU));
    ck_assert_int_eq(cg_signals_next(), 0);
    ck_assert(!is_pending(SIGTTOU) && !is_pending(SIGTERM));
}
END_TEST

START_TEST(what_is_not_ours_is_left_alone)
{
    start();
    block(SIG_BLOCK, SIGALRM);
    kill(getpid(), SIGALRM);
    kill(getpid(), SIGTTIN);
    ck_assert_int_eq(cg_signals_next(), SIGTTIN);
    ck_assert_int_eq(cg_signals_next(), 0);
    ck_assert(is_pending(SIGALRM));
}
END_TEST

TESTS("signals", signals_come_out_in_order,
      one_kind_brings_those_that_wait_along, what_is_not_ours_is_left_alone)
