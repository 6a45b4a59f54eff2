/* SPDX-License-Identifier: MIT */
#include "core/worker/reload/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/worker/reload/tree.h"

enum {
    POLL_MS = 1000,
    QUIET_MS = 50,  /* a burst of saves is over */
    BURST_MS = 200, /* or we look all the same */
};

struct cg_watch {
    struct cg_watch_options o;
    struct cg_buf places;
    struct cg_tree tree;
    int inotify_fd; /* -1: the clock */
    int stop_fd;
    bool lacks; /* a folder could not be watched: the clock, too */
    pthread_t thread;
};

enum {
    EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
             IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
};

/* A folder that is watched already stays so. */
static void
on_folder(void *self, const char *path)
{
    struct cg_watch *w = self;
    if (w->inotify_fd >= 0 &&
        inotify_add_watch(w->inotify_fd, path, EVENTS | IN_ONLYDIR) < 0 &&
        errno != ENOENT && errno != ENOTDIR && !w->lacks) {
        w->lacks = true;
        if (w->o.trouble != NULL) {
            cg_auto(free) char *text = cg_strf(
                "reload: the folder '%.300s' cannot be watched (%s): files "
                "are looked at every second, too",
                path,
                errno == ENOSPC ? "raise the sysctl fs.inotify.max_user_watches"
                                : strerror(errno));
            w->o.trouble(w->o.self, text);
        }
    }
}

/* Files that appear count from here on; the first of what differs, or "". */
static void
look(struct cg_watch *w, struct cg_buf *ret_path)
{
    struct cg_tree now = {0};
    cg_tree_scan(&now, (struct cg_slice){w->places.p, w->places.n}, on_folder,
                 w);
    const char *path = cg_tree_difference(&w->tree, &now);
    cg_buf_reset(ret_path);
    cg_buf_puts(ret_path, path != NULL ? path : "");
    cg_tree_release(&w->tree);
    w->tree = now;
}

static bool
matters(const struct cg_watch *w, const struct inotify_event *event)
{
    return w->tree.others || event->len == 0 ||
           (event->mask & (IN_ISDIR | IN_Q_OVERFLOW)) != 0 ||
           cg_ends_with(event->name, ".py");
}

/* Whether one of what lies there says that it is worth looking. */
static bool
read_events(struct cg_watch *w)
{
    char buffer[16 * 1024] __attribute__((aligned(8)));
    bool worth = false;
    ssize_t n;
    while ((n = read(w->inotify_fd, buffer, sizeof buffer)) > 0) {
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const void *)p;
            worth = matters(w, event) || worth;
            p += sizeof *event + event->len;
        }
    }
    return worth;
}

/* False: the end. *woken: something happened. */
static bool
await(const struct cg_watch *w, int timeout_ms, bool *woken)
{
    struct pollfd fds[2] = {{.fd = w->stop_fd, .events = POLLIN},
                            {.fd = w->inotify_fd, .events = POLLIN}};
    int n = poll(fds, 2, timeout_ms);
    *woken = n > 0 && fds[1].revents != 0;
    return fds[0].revents == 0;
}

/* Until it is quiet for a moment. */
static bool
await_end_of_burst(struct cg_watch *w)
{
    uint64_t until = cg_now_us() + BURST_MS * 1000u;
    bool woken = true;
    while (woken && cg_now_us() < until) {
        if (!await(w, QUIET_MS, &woken)) {
            return false;
        }
        read_events(w);
    }
    return true;
}

static void
go_on(struct cg_watch *w)
{
    cg_auto(buf) struct cg_buf path = {0};
    bool woken;
    bool clock = w->inotify_fd < 0 || w->lacks;
    while (await(w, clock ? POLL_MS : -1, &woken)) {
        if (woken && (!read_events(w) || !await_end_of_burst(w))) {
            continue;
        }
        look(w, &path);
        if (path.n > 0) {
            w->o.changed(w->o.self, cg_buf_str(&path));
        }
        clock = w->inotify_fd < 0 || w->lacks;
    }
}

static void *
watch_main(void *arg)
{
    struct cg_watch *w = arg;
    prctl(PR_SET_NAME, "reload");
    cg_tree_scan(&w->tree, (struct cg_slice){w->places.p, w->places.n},
                 on_folder, w);
    if (w->tree.full && w->o.trouble != NULL) {
        w->o.trouble(w->o.self, "reload: there are too many folders here, some "
                                "are not watched: start where the code is");
    }
    /* what changed while it was scanned counts, times to come do not */
    const char *path =
        cg_tree_modified(&w->tree, w->o.since, cg_now_of_files());
    if (path != NULL) {
        w->o.changed(w->o.self, path);
    }
    go_on(w);
    return NULL;
}

static int
start_thread(struct cg_watch *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int failure = pthread_create(&w->thread, NULL, watch_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failure;
}

static void
release(struct cg_watch *w)
{
    cg_fd_close(&w->inotify_fd);
    cg_fd_close(&w->stop_fd);
    cg_buf_release(&w->places);
    cg_tree_release(&w->tree);
    free(w);
}

int
cg_watch_start(const struct cg_watch_options *o, struct cg_watch **ret,
               struct cg_error *err)
{
    struct cg_watch *w = cg_calloc(1, sizeof *w);
    *w = (struct cg_watch){.o = *o, .inotify_fd = -1};
    cg_buf_put(&w->places, o->places.p, o->places.n);
    w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!o->polls) {
        w->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    }
    int failure = w->stop_fd < 0 ? errno : start_thread(w);
    if (failure != 0) {
        release(w);
        return cg_error_set(err, failure, "cannot watch files: %s",
                            strerror(failure));
    }
    *ret = w;
    return 0;
}

void
cg_watch_stop(struct cg_watch *w)
{
    static const uint64_t one = 1;
    if (w == NULL) {
        return;
    }
    ssize_t ignored = write(w->stop_fd, &one, sizeof one);
    (void)ignored;
    pthread_join(w->thread, NULL);
    release(w);
}
