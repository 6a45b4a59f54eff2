/* SPDX-License-Identifier: MIT */
#include "cmd/servers.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/control/channel.h"
#include "core/control/json.h"

enum { ANSWER_S = 10, HELLO_S = 2, REPLY_MOST = 64 << 20, NAMES_MOST = 65536 };

/* ---- asking ---- */

static int
pid_of(const char *channel)
{
    return atoi(channel + strlen(CG_CHANNEL_PREFIX));
}

/* Which namespace of pids that is; false: we may not know. */
static bool
read_namespace(const char *process, char *to, size_t size)
{
    cg_auto(free) char *path = cg_strf("/proc/%s/ns/pid", process);
    ssize_t n = readlink(path, to, size - 1);
    to[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Whether who listens has the pid of the name: the kernel says who it is, so
 * nobody answers in another's place. In a container's namespace pids are
 * others, and it is believed. */
static bool
is_its_own(const char *channel, const struct cg_channel_peer *peer)
{
    char ours[64], its[64], process[16];
    if (peer->pid == 0 || peer->pid == pid_of(channel)) {
        return true;
    }
    snprintf(process, sizeof process, "%d", peer->pid);
    return read_namespace("self", ours, sizeof ours) &&
           read_namespace(process, its, sizeof its) && strcmp(ours, its) != 0;
}

/* A connection to whom we may believe: our user's server or root's; root looks
 * at everybody's. */
static int
call(const char *channel, int seconds, struct cg_channel_peer *peer,
     struct cg_error *err)
{
    cg_auto(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = seconds};
    size_t n = strlen(channel);
    memcpy(name.sun_path + 1, channel, n);
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) <
            0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) <
            0 ||
        connect(fd, (struct sockaddr *)&name, size) < 0) {
        return cg_error_set(err, errno, "cannot reach the server: %s",
                            strerror(errno));
    }
    if (!cg_channel_peer_of(fd, peer) ||
        (geteuid() != 0 && peer->uid != geteuid() && peer->uid != 0)) {
        return cg_error_set(err, EPERM, "it is another user's");
    }
    if (!is_its_own(channel, peer)) {
        return cg_error_set(err, EPERM, "another process (pid:%d) answers",
                            peer->pid);
    }
    return cg_fd_take(&fd);
}

static int
receive_all(int fd, int seconds, struct cg_buf *reply, struct cg_error *err)
{
    uint64_t end_us = cg_now_us() + (uint64_t)seconds * 1000000;
    ssize_t n;
    while ((n = recv(fd, cg_buf_reserve(reply, 65536), 65536, 0)) > 0) {
        reply->n += (size_t)n;
        if (reply->n > REPLY_MOST || cg_now_us() > end_us) {
            return cg_error_set(err, EMSGSIZE, "its answer does not end");
        }
    }
    if (n < 0) {
        return cg_error_set(err, errno, "%s",
                            errno == EAGAIN
                                ? "it does not answer: its master loads the "
                                  "configuration or runs a hook"
                                : strerror(errno));
    }
    return reply->n > 0
               ? 0
               : cg_error_set(
                     err, ECONNRESET,
                     "it does not hear you: another user's, or ending");
}

static int
ask(const char *channel, const char *line, int seconds, struct cg_buf *reply,
    struct cg_channel_peer *peer, struct cg_error *err)
{
    cg_auto(fd_close) int fd = call(channel, seconds, peer, err);
    cg_auto(free) char *text = cg_strf("%s\n", line);
    if (fd < 0) {
        return err->code;
    }
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
        return cg_error_set(err, errno,
                            "it does not hear you: another user's, or ending");
    }
    return receive_all(fd, seconds, reply, err);
}

int
cg_server_ask(const struct cg_server *server, const char *line,
              struct cg_buf *reply, struct cg_error *err)
{
    struct cg_channel_peer peer;
    return ask(server->channel, line, ANSWER_S, reply, &peer, err);
}

/* ---- finding ---- */

static void
copy_clean(char *to, size_t size, const char *from)
{
    cg_auto(buf) struct cg_buf clean = {0};
    cg_put_clean(&clean, from, false);
    snprintf(to, size, "%s", cg_buf_str(&clean));
}

/* False: whoever that is, it is no server that hears us. */
static bool
meet(const char *channel, struct cg_server *ret)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    struct cg_channel_peer peer;
    struct cg_error err = {0};
    if (ask(channel, "hello", HELLO_S, &reply, &peer, &err) < 0 ||
        cg_json_read((struct cg_slice){reply.p, reply.n}, &t) < 0) {
        return false;
    }
    const struct cg_json_node *root = cg_json_root(&t);
    *ret = (struct cg_server){
        .pid = (int)cg_json_number_of(&t, root, "pid"),
        .uid = peer.uid,
        .old_master_pid = (int)cg_json_number_of(&t, root, "old_master_pid")};
    snprintf(ret->channel, sizeof ret->channel, "%s", channel);
    copy_clean(ret->name, sizeof ret->name, cg_json_text_of(&t, root, "name"));
    copy_clean(ret->state, sizeof ret->state,
               cg_json_text_of(&t, root, "state"));
    copy_clean(ret->version, sizeof ret->version,
               cg_json_text_of(&t, root, "version"));
    copy_clean(ret->address, sizeof ret->address,
               cg_json_text_of(&t, root, "address"));
    return ret->pid == pid_of(channel);
}

/* The pid in a channel's name is only a hint: it saves asking the others. */
static bool
may_be(const char *channel, const struct cg_server_choice *which)
{
    return which->pid == 0 || pid_of(channel) == which->pid;
}

static bool
is_meant(const struct cg_server *s, const struct cg_server_choice *which)
{
    return (which->pid == 0 || s->pid == which->pid) &&
           (which->name == NULL || strcmp(s->name, which->name) == 0);
}

static void
consider(struct cg_servers *all, const char *channel,
         const struct cg_server_choice *which)
{
    struct cg_server one;
    if (!meet(channel, &one)) {
        all->strangers++;
    } else if (is_meant(&one, which)) {
        all->items =
            cg_realloc(all->items, (size_t)(all->n + 1) * sizeof *all->items);
        all->items[all->n++] = one;
    }
}

/* Names that there are; anybody may have made any number of them. */
struct names {
    char (*items)[CG_CHANNEL_NAME];
    int n, cap;
};

static void
add_name(struct names *all, const char *channel)
{
    if (all->n == all->cap) {
        all->cap = all->cap > 0 ? 2 * all->cap : 16;
        all->items =
            cg_realloc(all->items, (size_t)all->cap * sizeof *all->items);
    }
    snprintf(all->items[all->n++], CG_CHANNEL_NAME, "%s", channel);
}

static int
compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void
read_names(FILE *f, const struct cg_server_choice *which, struct names *ret)
{
    char line[512];
    while (ret->n < NAMES_MOST && fgets(line, sizeof line, f) != NULL) {
        char *channel = strstr(line, " @" CG_CHANNEL_PREFIX);
        if (channel == NULL) {
            continue;
        }
        channel += 2;
        channel[strcspn(channel, "\n@")] = '\0';
        if (strlen(channel) < CG_CHANNEL_NAME - 1 && may_be(channel, which)) {
            add_name(ret, channel);
        }
    }
}

void
cg_servers_find(const struct cg_server_choice *which, struct cg_servers *ret)
{
    struct names all = {NULL, 0, 0};
    FILE *f = fopen("/proc/net/unix", "re");
    *ret = (struct cg_servers){0};
    if (f != NULL) {
        read_names(f, which, &all);
        fclose(f);
    }
    if (all.n > 0) {
        qsort(all.items, (size_t)all.n, sizeof *all.items, compare);
    }
    for (int i = 0; i < all.n; i++) {
        /* connections have the name of whom they lead to */
        if (i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0) {
            consider(ret, all.items[i], which);
        }
    }
    free(all.items);
}

void
cg_servers_release(struct cg_servers *s)
{
    free(s->items);
    *s = (struct cg_servers){0};
}

/* ---- their words ---- */

void
cg_put_clean(struct cg_buf *out, const char *text, bool newlines)
{
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == 0xc2 && (unsigned char)p[1] >= 0x80 &&
            (unsigned char)p[1] < 0xa0) {
            cg_buf_putc(out, '?'); /* a C1 control character */
            p++;
        } else if ((c < 0x20 && !(c == '\n' && newlines)) || c == 0x7f) {
            cg_buf_putc(out, '?');
        } else {
            cg_buf_putc(out, (char)c);
        }
    }
}
