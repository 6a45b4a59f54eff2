/* SPDX-License-Identifier: MIT */
#include "core/control/channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/hurry.h"
#include "core/base/memory.h"
#include "core/control/json.h"

enum { BACKLOG = 64, PATIENCE_MS = 5000 };

bool
cg_channel_peer_of(int fd, struct cg_channel_peer *ret)
{
    struct ucred who;
    socklen_t n = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0) {
        return false;
    }
    *ret = (struct cg_channel_peer){.pid = (int)who.pid, .uid = who.uid};
    return true;
}

static bool
admit(void *self, int fd)
{
    struct cg_channel_peer peer;
    return cg_channel_peer_of(fd, &peer) &&
           (peer.uid == 0 || peer.uid == geteuid());
}

void
cg_channel_put_error(struct cg_buf *reply, const char *fmt, ...)
{
    char text[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct cg_json j = {.out = reply};
    cg_json_open(&j, '{');
    cg_json_put_text(&j, "error", text);
    cg_json_close(&j, '}');
}

/* ---- a line ---- */

static bool
is_plain(struct cg_slice line)
{
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c < 0x20 || c >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Cuts it into words where it lies; -1: there are too many. */
static int
split(char *line, const char **words)
{
    int n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " ", &rest); w != NULL;
         w = strtok_r(NULL, " ", &rest)) {
        if (n == CG_CHANNEL_WORDS) {
            return -1;
        }
        words[n++] = w;
    }
    return n;
}

static void
run_line(const struct cg_channel_calls *calls, int fd, struct cg_slice line,
         struct cg_buf *reply)
{
    const char *words[CG_CHANNEL_WORDS];
    struct cg_channel_peer peer;
    if (!is_plain(line) || !cg_channel_peer_of(fd, &peer)) {
        cg_channel_put_error(reply, "a request is one line of printable ASCII");
        return;
    }
    cg_auto(free) char *copy = cg_strndup(line.p, line.n);
    int n = split(copy, words);
    if (n <= 0) {
        cg_channel_put_error(reply, "a request is 1 to %d words",
                             CG_CHANNEL_WORDS);
        return;
    }
    calls->run(calls->self, &peer, words, n, reply);
}

static bool
answer(void *self, int fd, struct cg_slice in, bool last, struct cg_buf *reply)
{
    const char *end = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    if (end == NULL) {
        if (last && in.n > 0) {
            cg_channel_put_error(reply,
                                 "a request is one line of at most %d bytes, "
                                 "sent within %d seconds",
                                 CG_CHANNEL_LINE, PATIENCE_MS / 1000);
            cg_buf_putc(reply, '\n');
        }
        return last && in.n > 0;
    }
    run_line(self, fd, (struct cg_slice){in.p, (size_t)(end - in.p)}, reply);
    cg_buf_putc(reply, '\n');
    return true;
}

/* ---- opening ---- */

static uint64_t
some_number(void)
{
    uint64_t n = 0;
    return getrandom(&n, sizeof n, GRND_NONBLOCK) == (ssize_t)sizeof n
               ? n
               : cg_now_us();
}

struct cg_desk *
cg_channel_open(int pid, const struct cg_channel_calls *calls,
                struct cg_error *err)
{
    cg_auto(fd_close) int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
                     CG_CHANNEL_PREFIX "%d/%016llx", pid,
                     (unsigned long long)some_number());
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    cg_hurry_refuse(fd);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) < 0 ||
        listen(fd, BACKLOG) < 0) {
        cg_error_set(err, errno, "cannot open the control channel: %s",
                     strerror(errno));
        return NULL;
    }
    const struct cg_desk_kind kind = {
        .admit = admit,
        .answer = answer,
        .self = (void *)(size_t)calls,
        .most_in = CG_CHANNEL_LINE,
        .patience_ms = PATIENCE_MS,
    };
    return cg_desk_new(cg_fd_take(&fd), &kind);
}
