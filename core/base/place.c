/* SPDX-License-Identifier: MIT */
#include "core/base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/fd.h"
#include "core/base/memory.h"

enum { LINKS_MOST = 40, RACES_MOST = 8 };

static const int folder_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
static const int file_flags = O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

/* A walk along a path, with what is left of it. */
struct walk {
    int fd;       /* of the folder that was reached */
    char *rest;   /* owned */
    uid_t root;   /* who owns "/": root, or what it is mapped to */
    bool led;     /* a link of `leader` was followed */
    uid_t leader; /* not one of those who are trusted */
    int links;
    char name[NAME_MAX + 1];
};

/* ---- who is trusted ---- */

static bool
is_trusted(const struct walk *w, uid_t uid)
{
    return uid == 0 || uid == w->root || uid == geteuid();
}

/* Nobody else can put names there; under the sticky bit anybody can, and keeps
 * what is his. */
static bool
is_ours(const struct walk *w, const struct stat *folder)
{
    return is_trusted(w, folder->st_uid) &&
           (folder->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* ---- walking ---- */

/* Takes the next name off the rest. False: there is none. */
static bool
next_name(struct walk *w)
{
    char *p = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(p, "/");
    if (n == 0 || n > NAME_MAX) {
        errno = n == 0 ? EISDIR : ENAMETOOLONG;
        return false;
    }
    memcpy(w->name, p, n);
    w->name[n] = '\0';
    memmove(w->rest, p + n, strlen(p + n) + 1);
    return true;
}

static bool
is_last(const struct walk *w)
{
    return w->rest[strspn(w->rest, "/")] == '\0';
}

static int
enter(struct walk *w, int fd)
{
    if (fd < 0) {
        return -errno;
    }
    cg_fd_close(&w->fd);
    w->fd = fd;
    return 0;
}

static int
refuse_link(const struct walk *w, uid_t owner, const char *why,
            struct cg_error *err)
{
    return cg_error_set(err, EPERM,
                        "'%.100s' on the way is a symbolic link of uid %u, %s: "
                        "root does not follow it; name the file where it is, "
                        "or make the link as root",
                        w->name, (unsigned)owner, why);
}

/* Puts where the link leads before what is left. */
static int
follow(struct walk *w, const struct stat *link, struct cg_error *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(w->fd, w->name, target, sizeof target - 1);
    if (n < 0 || ++w->links > LINKS_MOST) {
        return n < 0 ? -errno : -ELOOP;
    }
    target[n] = '\0';
    if (!is_trusted(w, link->st_uid)) {
        if (w->led && w->leader != link->st_uid) {
            return refuse_link(w, link->st_uid, "and not the first user's",
                               err);
        }
        w->led = true;
        w->leader = link->st_uid;
    }
    char *rest = cg_strf("%s/%s", target, w->rest);
    free(w->rest);
    w->rest = rest;
    return target[0] == '/' ? enter(w, open("/", folder_flags)) : 0;
}

static bool
is_in_proc(const struct walk *w)
{
    struct statfs fs;
    return fstatfs(w->fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* 1: the name is the last one, and the walk is over. */
static int
step(struct walk *w, enum cg_place_end end, bool *ret_magic,
     struct cg_error *err)
{
    struct stat st;
    if (!next_name(w)) {
        return -errno;
    }
    bool last = is_last(w);
    if (fstatat(w->fd, w->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT && last ? 1 : -errno;
    }
    bool is_link = S_ISLNK(st.st_mode);
    /* those of /proc/PID lead to what no path names */
    *ret_magic = is_link && last && is_in_proc(w);
    if (last && (!is_link || end == CG_PLACE_STAY || *ret_magic)) {
        return 1;
    }
    return is_link ? follow(w, &st, err)
                   : enter(w, openat(w->fd, w->name, folder_flags));
}

/* Where a link of another user led to: a folder of that user. */
static int
check_end(struct walk *w, const struct stat *folder, struct cg_error *err)
{
    if (!w->led || folder->st_uid == w->leader) {
        return 0;
    }
    return cg_error_set(
        err, EPERM,
        "a symbolic link of uid %u leads to a folder of uid %u: root does not "
        "follow it; name the file where it is, or make the link as root",
        (unsigned)w->leader, (unsigned)folder->st_uid);
}

static int
walk_along(struct walk *w, enum cg_place_end end, struct cg_place *p,
           struct cg_error *err)
{
    struct stat st;
    int r = 0;
    while (r == 0) {
        r = step(w, end, &p->is_magic, err);
    }
    if (r > 0) {
        r = fstat(w->fd, &st) < 0 ? -errno : check_end(w, &st, err);
    }
    if (r == 0) {
        p->ours = is_ours(w, &st);
        p->dir_fd = cg_fd_take(&w->fd);
        memcpy(p->name, w->name, sizeof p->name);
    }
    return r;
}

/* Root's way. */
static int
find_with_care(const char *path, enum cg_place_end end, struct cg_place *p,
               struct cg_error *err)
{
    struct stat st;
    struct walk w = {.fd = -1};
    w.fd = open(path[0] == '/' ? "/" : ".", folder_flags);
    if (w.fd < 0 || stat("/", &st) < 0) {
        int failure = errno;
        cg_fd_close(&w.fd);
        return -failure;
    }
    w.root = st.st_uid;
    w.rest = cg_strdup(path);
    int r = walk_along(&w, end, p, err);
    cg_fd_close(&w.fd);
    free(w.rest);
    return r;
}

/* Everybody else's: what the kernel lets them do is theirs to do. */
static int
find_plainly(const char *path, struct cg_place *p)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    cg_auto(free) char *folder = slash == NULL ? cg_strdup(".")
                                 : slash == path
                                     ? cg_strdup("/")
                                     : cg_strndup(path, (size_t)(slash - path));
    size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX) {
        return n == 0 ? -EISDIR : -ENAMETOOLONG;
    }
    p->dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    memcpy(p->name, name, n + 1);
    p->ours = false;
    return p->dir_fd < 0 ? -errno : 0;
}

int
cg_place_find(const char *path, enum cg_place_end end,
              struct cg_place *ret_place, struct cg_error *err)
{
    struct cg_error reason = {0};
    struct cg_place p = {.dir_fd = -1};
    int r = geteuid() == 0 ? find_with_care(path, end, &p, &reason)
                           : find_plainly(path, &p);
    if (r < 0) {
        return cg_error_set(err, -r, "%s",
                            reason.code != 0 ? reason.text : strerror(-r));
    }
    *ret_place = p;
    return 0;
}

void
cg_place_release(struct cg_place *p)
{
    cg_fd_close(&p->dir_fd);
}

void
cg_cleanup_place(struct cg_place *p)
{
    cg_place_release(p);
}

/* ---- what is there ---- */

int
cg_place_stat(const struct cg_place *p, struct stat *ret)
{
    return fstatat(p->dir_fd, p->name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
                                                                     : 0;
}

bool
cg_place_holds_only(const struct cg_place *p, int fd)
{
    struct stat open_one, named;
    /* the count and the name are looked at in one moment: it is the only one */
    return fstat(fd, &open_one) == 0 && cg_place_stat(p, &named) == 0 &&
           named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino &&
           named.st_nlink == 1;
}

/* ---- appending ---- */

/* What is there, if it is what we just saw; else -EAGAIN. */
static int
open_seen(const struct cg_place *p, const struct stat *seen, int follow)
{
    struct stat st;
    int fd = -1;
    if (S_ISFIFO(seen->st_mode)) {
        /* else this would wait for a reader, and each line without one fail */
        fd = openat(p->dir_fd, p->name, O_RDWR | file_flags | follow);
    }
    if (fd < 0) {
        fd = openat(p->dir_fd, p->name, O_WRONLY | file_flags | follow);
    }
    if (fd < 0) {
        return errno == ENOENT || (errno == ELOOP && follow != 0) ? -EAGAIN
                                                                  : -errno;
    }
    if (fstat(fd, &st) < 0 || (follow != 0 && (st.st_ino != seen->st_ino ||
                                               st.st_dev != seen->st_dev))) {
        close(fd);
        return -EAGAIN;
    }
    return fd;
}

static int
open_or_make(const struct cg_place *p, mode_t mode, bool *ret_made)
{
    struct stat st;
    /* others than root have not looked at links, and may follow them */
    int follow = geteuid() == 0 && !p->is_magic ? O_NOFOLLOW : 0;
    *ret_made = false;
    int r =
        fstatat(p->dir_fd, p->name, &st, follow != 0 ? AT_SYMLINK_NOFOLLOW : 0);
    if (r == 0) {
        return open_seen(p, &st, follow);
    }
    if (errno != ENOENT) {
        return -errno;
    }
    int fd = openat(p->dir_fd, p->name,
                    O_WRONLY | O_CREAT | file_flags |
                        (follow != 0 ? O_EXCL | O_NOFOLLOW : 0),
                    mode);
    *ret_made = fd >= 0;
    return fd >= 0 ? fd : errno == EEXIST ? -EAGAIN : -errno;
}

/* Regular files need no O_NONBLOCK, and others that hold the description would
 * see it. */
static void
be_plain(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
}

/* Another name of it may be where only root can write. */
static int
check_names(const struct cg_place *p, int fd, struct cg_error *err)
{
    struct stat st, folder;
    if (geteuid() != 0 || p->ours || fstat(fd, &st) < 0 ||
        !S_ISREG(st.st_mode) || fstat(p->dir_fd, &folder) < 0 ||
        st.st_uid == folder.st_uid || cg_place_holds_only(p, fd)) {
        return 0;
    }
    return cg_error_set(err, EPERM,
                        "it belongs to uid %u, lies in a folder where others "
                        "can put names, and has another name elsewhere: remove "
                        "it",
                        (unsigned)st.st_uid);
}

int
cg_place_append(const struct cg_place *p, mode_t mode, bool *ret_made,
                struct cg_error *err)
{
    int fd = -EAGAIN;
    for (int tries = 0; fd == -EAGAIN && tries < RACES_MOST; tries++) {
        fd = open_or_make(p, mode, ret_made);
    }
    if (fd < 0) {
        return cg_error_set(err, -fd, "%s",
                            fd == -EAGAIN ? "it changes all the time"
                                          : strerror(-fd));
    }
    int r = *ret_made ? 0 : check_names(p, fd, err);
    if (r < 0) {
        close(fd);
        return r;
    }
    be_plain(fd);
    return fd;
}

/* ---- giving away ---- */

static bool
may_give(const struct cg_place *p, int fd, const struct stat *st, bool made,
         uid_t uid)
{
    return made || st->st_uid == uid ||
           (st->st_uid == geteuid() && p->ours && cg_place_holds_only(p, fd));
}

int
cg_place_give(const struct cg_place *p, int fd, bool made, int uid, int gid,
              struct cg_error *err)
{
    struct stat st;
    uid_t wanted = uid == -1 ? geteuid() : (uid_t)uid;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        (st.st_uid == wanted && (gid == -1 || st.st_gid == (gid_t)gid))) {
        return 0;
    }
    bool may = may_give(p, fd, &st, made, wanted);
    if (!may && wanted == geteuid()) {
        return 0; /* nobody misses it */
    }
    if (!may) {
        return cg_error_set(err, EPERM,
                            "it belongs to uid %u and was there before, where "
                            "others can put names: it keeps its owner; give it "
                            "to uid %u yourself, or remove it",
                            (unsigned)st.st_uid, (unsigned)wanted);
    }
    /* others may do little, and have it anyway */
    return fchown(fd, (uid_t)uid, (gid_t)gid) < 0 && geteuid() == 0
               ? cg_error_set(err, errno, "it keeps its owner: %s",
                              strerror(errno))
               : 0;
}
