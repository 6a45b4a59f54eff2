/* SPDX-License-Identifier: MIT */
#include "core/arbiter/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

static int read_fd = -1, write_fd = -1;

static const int handled[] = {SIGHUP,  SIGQUIT, SIGINT,  SIGTERM,  SIGTTIN,
                              SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};

void
cg_signals_raise(int sig)
{
    int saved = errno;
    unsigned char byte = (unsigned char)sig;
    ssize_t ignored = write(write_fd, &byte, 1);
    (void)ignored; /* full: 64 KiB of signals wait already */
    errno = saved;
}

/*
 * A burst of signals is delivered lowest number first, and what waits is
 * merged: TTIN could keep TTOU waiting for ever, HUP even TERM. So who is
 * called for one kind takes the others that wait, each once. All are blocked
 * meanwhile.
 */
static void
on_signal(int sig)
{
    int saved = errno;
    const struct timespec now = {0};
    sigset_t waiting, one;
    cg_signals_raise(sig);
    for (size_t i = 0; i < CG_COUNT(handled); i++) {
        if (handled[i] == sig || sigpending(&waiting) < 0 ||
            sigismember(&waiting, handled[i]) != 1) {
            continue;
        }
        sigemptyset(&one);
        sigaddset(&one, handled[i]);
        if (sigtimedwait(&one, NULL, &now) > 0) {
            cg_signals_raise(handled[i]);
        }
    }
    errno = saved;
}

void
cg_signals_install(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&sa.sa_mask);
    for (size_t i = 0; i < CG_COUNT(handled); i++) {
        sigaction(handled[i], &sa, NULL);
    }
}

/* ---- forks of others: what a hook forks must not write to our pipe ---- */

static __thread sigset_t before_fork;

static void
on_fork(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_fork);
}

static void
on_fork_in_parent(void)
{
    pthread_sigmask(SIG_SETMASK, &before_fork, NULL);
}

static void
on_fork_in_child(void)
{
    struct sigaction sa;
    for (size_t i = 0; i < CG_COUNT(handled); i++) {
        if (sigaction(handled[i], NULL, &sa) == 0 &&
            sa.sa_handler == on_signal) {
            signal(handled[i], SIG_DFL);
        }
    }
    cg_fd_close(&read_fd);
    cg_fd_close(&write_fd);
    pthread_sigmask(SIG_SETMASK, &before_fork, NULL);
}

int
cg_signals_init(int *ret_fd, struct cg_error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        return cg_error_set(err, errno, "cannot make a pipe: %s",
                            strerror(errno));
    }
    read_fd = fds[0];
    write_fd = fds[1];
    cg_signals_install();
    pthread_atfork(on_fork, on_fork_in_parent, on_fork_in_child);
    *ret_fd = read_fd;
    return 0;
}

int
cg_signals_next(void)
{
    unsigned char byte;
    return read(read_fd, &byte, 1) == 1 ? byte : 0;
}

void
cg_signals_reset_in_child(void)
{
    for (size_t i = 0; i < CG_COUNT(handled); i++) {
        signal(handled[i], SIG_DFL);
    }
    cg_fd_close(&read_fd);
    cg_fd_close(&write_fd);
}
