/* SPDX-License-Identifier: MIT */
#include "core/base/hurry.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fd.h"

enum { FIRST_MS = 2, EACH_MS = 2 };

static void
on_signal(int sig)
{
}

/* Waits of a close are not begun again, whatever the flag says; a signal that
 * comes late must not disturb other calls. */
static void
listen_to_signal(void)
{
    const struct sigaction sa = {.sa_handler = on_signal,
                                 .sa_flags = SA_RESTART};
    struct sigaction now;
    sigset_t one;
    if (sigaction(CG_HURRY_SIGNAL, NULL, &now) == 0 &&
        now.sa_handler != on_signal) {
        sigaction(CG_HURRY_SIGNAL, &sa, NULL);
    }
    sigemptyset(&one);
    sigaddset(&one, CG_HURRY_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

/* The kernel's own calls: in older C libraries they are in one of their own. */
static int
make_timer(int *ret)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = CG_HURRY_SIGNAL;
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
#else
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
#endif
    return (int)syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, ret);
}

static void
start_timer(int timer, const struct itimerspec *when)
{
#ifdef SYS_timer_settime64 /* of 32 bits, whose time may have 64 */
    if (sizeof when->it_value.tv_sec > sizeof(long)) {
        syscall(SYS_timer_settime64, timer, 0, when, NULL);
        return;
    }
#endif
    syscall(SYS_timer_settime, timer, 0, when, NULL);
}

void
cg_hurry_begin(struct cg_hurry *h)
{
    const struct itimerspec when = {
        .it_value.tv_nsec = FIRST_MS * 1000000L,
        .it_interval.tv_nsec = EACH_MS * 1000000L,
    };
    listen_to_signal();
    h->on = make_timer(&h->timer) == 0;
    if (h->on) {
        start_timer(h->timer, &when);
    }
}

void
cg_hurry_end(struct cg_hurry *h)
{
    int code = errno;
    if (h->on) {
        syscall(SYS_timer_delete, h->timer);
        h->on = false;
    }
    errno = code;
}

void
cg_hurry_refuse(int fd)
{
    enum { PASSRIGHTS = 83 }; /* SO_PASSRIGHTS, which old headers lack */
    int zero = 0;
    setsockopt(fd, SOL_SOCKET, PASSRIGHTS, &zero, sizeof zero);
}

void
cg_hurry_close(int *fd)
{
    struct cg_hurry h;
    if (*fd >= 0) {
        cg_hurry_begin(&h);
        cg_fd_close(fd);
        cg_hurry_end(&h);
    }
}
