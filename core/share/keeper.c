/* SPDX-License-Identifier: MIT */
#include "core/share/keeper.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/shed.h"
#include "core/base/title.h"

/*
 * Everything up to the section "the worker's side" runs in the keeper. It is
 * made by a bare clone, perhaps of a process with threads: no memory is
 * allocated there, and no lock of the C library taken.
 */
enum {
    MARKS_MOST = 65536, /* connections with a higher descriptor are not kept */
    /* how long connections wait for a place in the queue: a worker that takes
     * them may have to boot */
    PATIENCE_US = 30 * 1000 * 1000,
    RETRY_MS = 10,
    CLOSED_MS = 100 /* how often it is looked at without its descriptor */
};

struct estate {
    const struct cg_keeper *keeper;
    const struct cg_handover *handover;
    uint64_t end_us;
};

/* ---- waiting ---- */

/* All signals are blocked: whatever comes is either the kernel's word that our
 * parent is dead, or not for us. A thread of the parent is not the parent. */
static void
wait_for_parent(pid_t worker)
{
    sigset_t all;
    sigfillset(&all);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    while (getppid() == worker) {
        sigwaitinfo(&all, NULL);
    }
}

/* The descriptor is in the table that the application has, too: it may close
 * it, while we wait or before. */
static void
wait_for_death(pid_t worker, int worker_fd)
{
    struct pollfd p = {.fd = worker_fd, .events = POLLIN};
    for (;;) {
        int r = poll(&p, 1, -1);
        if (r == 1 && (p.revents & POLLIN) != 0) {
            return;
        }
        if (r == 1) {
            break;
        }
    }
    while (kill(worker, 0) == 0 || errno == EPERM) {
        poll(NULL, 0, CLOSED_MS);
    }
}

/* ---- the estate ---- */

static unsigned
mark_of(const struct cg_keeper *k, unsigned fd)
{
    return fd < k->n ? atomic_load_explicit(&k->mark[fd], memory_order_acquire)
                     : 0;
}

static bool
stays(const struct estate *s, unsigned fd)
{
    return (int)fd == s->handover->write_fd ||
           (int)fd == s->handover->poke_fd || mark_of(s->keeper, fd) != 0;
}

/* Locks, files and ports of the application are free again as soon as they
 * would be without us. Before Linux 5.9 they have to wait for our end. */
static void
close_others(const struct estate *s)
{
#ifdef SYS_close_range
    unsigned from = 0;
    for (unsigned fd = 0; fd < s->keeper->n; fd++) {
        if (stays(s, fd)) {
            if (fd > from) {
                syscall(SYS_close_range, from, fd - 1, 0);
            }
            from = fd + 1;
        }
    }
    syscall(SYS_close_range, from, ~0u, 0);
#else
    (void)s;
#endif
}

static bool
has_bytes(int fd)
{
    int n = 0;
    return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* After a failure to give: whether to try again, when there may be a place. */
static bool
wait_for_room(const struct estate *s, int error)
{
    struct pollfd p = {.fd = s->handover->write_fd, .events = POLLOUT};
    bool full = error == -EAGAIN;
    /* descriptors under way are counted, too, and memory may come back */
    bool passes =
        error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM;
    if ((!full && !passes) || cg_now_us() >= s->end_us) {
        return false;
    }
    return poll(&p, full, RETRY_MS) >= 0;
}

/* Whose it is, who adopts it finds out. */
static int
give(const struct cg_handover *h, int fd, unsigned mark)
{
    const struct cg_message m = {.requests = (mark & CG_KEEPER_ANSWERED) != 0,
                                 .listener =
                                     (uint16_t)(mark / CG_KEEPER_LISTENER)};
    return cg_handover_send(h, &m, &fd, 1);
}

static bool
bequeath_one(const struct estate *s, int fd, unsigned mark)
{
    int r;
    do {
        r = give(s->handover, fd, mark);
    } while (r < 0 && wait_for_room(s, r));
    return r == 0;
}

/* First those whose clients have asked something already. */
static void
bequeath(const struct estate *s, bool asked)
{
    for (unsigned fd = 0; fd < s->keeper->n; fd++) {
        unsigned mark = mark_of(s->keeper, fd);
        if (mark == 0 || (asked && !has_bytes((int)fd))) {
            continue;
        }
        if (!bequeath_one(s, (int)fd, mark)) {
            return;
        }
        cg_keeper_mark(s->keeper, (int)fd, 0);
        close((int)fd);
    }
    cg_handover_poke(s->handover);
}

static _Noreturn void
keep(struct cg_keeper k, struct cg_handover h, pid_t worker)
{
    cg_memory_shed(); /* what we need is on the stack */
    if (k.worker_fd >= 0) {
        wait_for_death(worker, k.worker_fd);
    } else {
        wait_for_parent(worker);
    }
    if (atomic_load(&k.shared->is_over)) {
        _exit(0);
    }
    struct estate s = {
        .keeper = &k, .handover = &h, .end_us = cg_now_us() + PATIENCE_US};
    close_others(&s);
    bequeath(&s, true);
    bequeath(&s, false);
    _exit(0);
}

/* ---- the worker's side ---- */

static uint32_t
how_many(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > MARKS_MOST) {
        return MARKS_MOST;
    }
    return (uint32_t)limit.rlim_cur;
}

/* No signal tells of its end: to a wait for any child it does not exist. */
static pid_t
clone_with_files(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, CLONE_FILES | flags, 0, 0, 0, 0);
}

static int
open_process(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

static _Noreturn void
become_keeper(const struct cg_keeper *k, const struct cg_handover *h,
              const char *name, pid_t worker)
{
    cg_title_set("keeper", name);
    keep(*k, *h, worker);
}

/*
 * The keeper as nobody's child: a process between us makes it and ends, so that
 * whoever takes orphans has it, and neither an application that ends its
 * children nor a monitor that counts the master's meets it. Where nobody waits
 * for orphans, it is the master's. Without descriptors of processes (Linux
 * before 5.3) it has to be ours, or it would not notice our death.
 */
static pid_t
make(struct cg_keeper *k, const struct cg_handover *h, const char *name,
     enum cg_keeper_parent parent)
{
    pid_t worker = getpid();
    bool orphan = k->worker_fd >= 0 && parent == CG_KEEPER_ORPHAN;
    pid_t pid = clone_with_files(
        k->worker_fd >= 0 && !orphan ? CLONE_PARENT | SIGCHLD : 0);
    if (pid == 0 && orphan) {
        pid = clone_with_files(0);
        if (pid != 0) {
            k->shared->pid = pid > 0 ? pid : -errno;
            k->shared->fd = pid > 0 ? open_process(pid) : -1;
            _exit(0);
        }
    }
    if (pid == 0) {
        become_keeper(k, h, name, worker);
    }
    if (pid < 0 || !orphan) {
        k->fd = pid > 0 && k->worker_fd >= 0 ? open_process(pid) : -1;
        return pid < 0 ? -errno : pid;
    }
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) {
    }
    k->fd = k->shared->fd;
    return k->shared->pid;
}

static size_t
shared_size(const struct cg_keeper *k)
{
    return sizeof *k->shared + k->n * sizeof *k->mark;
}

static int
share_marks(struct cg_keeper *k, struct cg_error *err)
{
    void *memory = mmap(NULL, shared_size(k), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        *k = CG_KEEPER_NONE;
        return cg_error_set(err, errno, "cannot share memory: %s",
                            strerror(errno));
    }
    k->shared = memory;
    k->mark = (void *)(k->shared + 1);
    return 0;
}

static void
close_descriptors(struct cg_keeper *k)
{
    cg_fd_close(&k->fd);
    cg_fd_close(&k->worker_fd);
}

static int
start(struct cg_keeper *k, const struct cg_handover *h, const char *name,
      enum cg_keeper_parent parent, struct cg_error *err)
{
    sigset_t all, before;
    k->worker_fd = open_process(getpid());
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    k->pid = make(k, h, name, parent);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (k->pid < 0) {
        int code = (int)-k->pid;
        k->pid = 0;
        close_descriptors(k);
        return cg_error_set(err, code, "cannot make a process: %s",
                            strerror(code));
    }
    return 0;
}

int
cg_keeper_start(struct cg_keeper *k, const struct cg_handover *h,
                const char *name, enum cg_keeper_parent parent,
                struct cg_error *err)
{
    *k = CG_KEEPER_NONE;
    k->n = how_many();
    int r = share_marks(k, err);
    if (r < 0) {
        return r;
    }
    r = start(k, h, name, parent, err);
    if (r < 0) {
        munmap(k->shared, shared_size(k));
        *k = CG_KEEPER_NONE;
    }
    return r;
}

int
cg_keeper_replace(struct cg_keeper *k, const struct cg_handover *h,
                  const char *name, enum cg_keeper_parent parent,
                  struct cg_error *err)
{
    close_descriptors(k);
    return start(k, h, name, parent, err);
}

bool
cg_keeper_is_dead(const struct cg_keeper *k)
{
    struct pollfd p = {.fd = k->fd, .events = POLLIN};
    return k->pid > 0 && k->fd >= 0 && poll(&p, 1, 0) == 1 &&
           (p.revents & POLLIN) != 0;
}

static bool
kill_by_descriptor(const struct cg_keeper *k)
{
#ifdef SYS_pidfd_send_signal
    return k->fd >= 0 &&
           syscall(SYS_pidfd_send_signal, k->fd, SIGKILL, NULL, 0) == 0;
#else
    return false;
#endif
}

void
cg_keeper_end(struct cg_keeper *k)
{
    if (k->pid <= 0) {
        return;
    }
    /* not ours any more if the application has changed the user: then it ends
     * behind us, as it does if the descriptor is gone */
    atomic_store(&k->shared->is_over, true);
    if (k->worker_fd < 0 && kill(k->pid, SIGKILL) == 0) {
        while (waitpid(k->pid, NULL, __WALL) < 0 && errno == EINTR) {
        }
    } else if (kill_by_descriptor(k)) {
        struct pollfd p = {.fd = k->fd, .events = POLLIN};
        while (poll(&p, 1, -1) < 0 && errno == EINTR) {
        }
    }
    close_descriptors(k);
    k->pid = 0;
}
