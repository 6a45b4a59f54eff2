/* SPDX-License-Identifier: MIT */
/*
 * -D: leaving the shell (gunicorn-compat 3.6), with one thing more: the shell
 * hears whether the server came up. The daemon writes one message to a pipe:
 * 'R', or 'E', an exit status and the reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdbool.h>

#include "core/arbiter/arbiter.h"
#include "core/arbiter/ready.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/runtime/interp.h"

/* ---- the message ---- */

void
cg_ready_tell(int *fd)
{
    if (*fd >= 0) {
        ssize_t ignored = write(*fd, "R", 1);
        (void)ignored;
        cg_fd_close(fd);
    }
}

void
cg_ready_fail(int *fd, int status, const char *reason)
{
    if (*fd >= 0) {
        cg_auto(free) char *text = cg_strf("E%c%s", (char)status, reason);
        ssize_t ignored = write(*fd, text, strlen(text));
        (void)ignored;
        cg_fd_close(fd);
    }
}

/* In the calling process: the exit status that the message asks for. */
static int
wait_for_news(int fd)
{
    char text[4096];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof text - 1 &&
           ((got = read(fd, text + n, sizeof text - 1 - n)) > 0 ||
            (got < 0 && errno == EINTR))) {
        n += got > 0 ? (size_t)got : 0;
    }
    text[n] = '\0';
    if (n > 0 && text[0] == 'R') {
        return 0;
    }
    if (n > 1 && text[0] == 'E') {
        fprintf(stderr, "\nError: %s\n", text + 2);
        return (unsigned char)text[1];
    }
    fprintf(stderr, "\nError: the daemon ended before it was ready; its error "
                    "log (errorlog) says more\n");
    return 1;
}

/* ---- descriptors ---- */

static void
to_null(int fd, int flags)
{
    int null = open("/dev/null", flags);
    if (null >= 0 && null != fd) {
        dup2(null, fd);
        close(null);
    }
}

static void
redirect(bool inherit)
{
    to_null(0, O_RDONLY);
    if (!inherit || isatty(1)) {
        to_null(1, O_RDWR);
    }
    if (!inherit || isatty(2)) {
        to_null(2, O_RDWR);
    }
}

int
cg_daemonize(const struct cg_settings *s, int *ret_status, int *ret_ready_fd,
             struct cg_error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return cg_error_set(err, errno, "cannot make a pipe: %s",
                            strerror(errno));
    }
    pid_t pid = cg_python_fork(NULL, NULL);
    if (pid < 0) {
        return cg_error_set(err, -pid, "cannot fork: %s", strerror(-pid));
    }
    if (pid > 0) {
        close(fds[1]);
        waitpid(pid, NULL, 0);
        *ret_status = wait_for_news(fds[0]);
        return 0;
    }
    close(fds[0]);
    setsid();
    pid = cg_python_fork(NULL, NULL);
    if (pid != 0) {
        _exit(pid < 0 ? 1 : 0);
    }
    umask(022);
    redirect(cg_settings_bool(s, CG_enable_stdio_inheritance));
    *ret_status = -1;
    *ret_ready_fd = fds[1];
    return 0;
}
