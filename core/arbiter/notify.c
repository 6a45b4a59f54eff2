/* SPDX-License-Identifier: MIT */
#include "core/arbiter/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

bool
cg_notify_wanted(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path != NULL && (path[0] == '/' || path[0] == '@') &&
           path[1] != '\0' &&
           strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path;
}

static bool
send_text(const char *text, size_t n)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t path_n = strlen(path);
    cg_auto(fd_close) int fd =
        socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(un.sun_path, path, path_n);
    if (path[0] == '@') {
        un.sun_path[0] = '\0';
    }
    socklen_t un_n =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_n);
    return fd >= 0 && sendto(fd, text, n, MSG_NOSIGNAL, (struct sockaddr *)&un,
                             un_n) == (ssize_t)n;
}

bool
cg_notify(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (!cg_notify_wanted()) {
        return false;
    }
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < (int)sizeof text ? (size_t)n : sizeof text - 1;
    return send_text(text, len);
}

uint64_t
cg_notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != getpid())) {
        return 0;
    }
    uint64_t us = strtoull(usec, NULL, 10);
    uint64_t half_ms = us / 2000;
    return us == 0 ? 0 : half_ms != 0 ? half_ms : 1;
}
