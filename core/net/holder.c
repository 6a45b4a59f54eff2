/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets of a port come from /proc/net/tcp and tcp6 as inode
 * numbers; their owners are the processes that have "socket:[inode]" open.
 */
#include "core/net/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

enum { STATE_LISTEN = 0x0a, INODES_MAX = 16 };

struct inodes {
    unsigned long inode[INODES_MAX];
    int n;
};

/* ---- port to inodes ---- */

static void
read_table(const char *path, uint16_t port, struct inodes *found)
{
    char line[512];
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return;
    }
    while (found->n < INODES_MAX && fgets(line, sizeof line, f) != NULL) {
        unsigned local, state;
        unsigned long inode;
        /* sl local:port remote:port state queues timer retries uid timeout
         * inode */
        int n =
            sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu",
                   &local, &state, &inode);
        if (n == 3 && local == port && state == STATE_LISTEN && inode != 0) {
            found->inode[found->n++] = inode;
        }
    }
    fclose(f);
}

/* ---- inodes to a process ---- */

static bool
is_wanted(const char *link, const struct inodes *wanted)
{
    unsigned long inode;
    if (sscanf(link, "socket:[%lu]", &inode) != 1) {
        return false;
    }
    for (int i = 0; i < wanted->n; i++) {
        if (wanted->inode[i] == inode) {
            return true;
        }
    }
    return false;
}

static bool
has_open(pid_t pid, const struct inodes *wanted)
{
    char path[64], link[64];
    struct dirent *entry;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    while (!found && (entry = readdir(dir)) != NULL) {
        ssize_t n =
            readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);
        if (n > 0) {
            link[n] = '\0';
            found = is_wanted(link, wanted);
        }
    }
    closedir(dir);
    return found;
}

static void
read_name(pid_t pid, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL || fgets(out, (int)size, f) == NULL) {
        snprintf(out, size, "?");
    }
    if (f != NULL) {
        fclose(f);
    }
    out[strcspn(out, "\n")] = '\0';
    for (char *p = out; *p != '\0'; p++) {
        *p = isprint((unsigned char)*p) ? *p : '?';
    }
}

bool
cg_holder_find(uint16_t port, struct cg_holder *ret_holder)
{
    struct inodes wanted = {.n = 0};
    struct dirent *entry;
    long lowest = 0;
    read_table("/proc/net/tcp", port, &wanted);
    read_table("/proc/net/tcp6", port, &wanted);
    DIR *proc = wanted.n > 0 ? opendir("/proc") : NULL;
    if (proc == NULL) {
        return false;
    }
    while ((entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        /* a server's lowest pid is its master, most often */
        if (pid > 0 && (lowest == 0 || pid < lowest) &&
            has_open((pid_t)pid, &wanted)) {
            lowest = pid;
        }
    }
    closedir(proc);
    if (lowest == 0) {
        return false;
    }
    ret_holder->pid = (pid_t)lowest;
    read_name(ret_holder->pid, ret_holder->name, sizeof ret_holder->name);
    return true;
}
