/* SPDX-License-Identifier: MIT */
#include "core/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

char
cg_process_state(int pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    cg_auto(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    /* the name before it may have parentheses of its own */
    const char *paren = strrchr(text, ')');
    return paren != NULL && paren[1] == ' ' ? paren[2] : '?';
}

bool
cg_process_is_alive(int pid)
{
    if (pid <= 0 || (kill(pid, 0) < 0 && errno != EPERM)) {
        return false;
    }
    char state = cg_process_state(pid);
    return state != 'Z' && state != 'X';
}

int
cg_process_no_core(void)
{
    return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}
