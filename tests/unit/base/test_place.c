/* SPDX-License-Identifier: MIT */
/* Where a path leads root to: links, names and owners of others. */
#include "core/base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"

enum { ATTACKER = 65534, OTHER = 12345 };

static char dir[64];
static struct cg_error err;

/* dir/theirs is the attacker's, dir/ours root's with a file `secret`. */
static void
make_dirs(void)
{
    snprintf(dir, sizeof dir, "/tmp/cg_place_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(chdir(dir), 0);
    ck_assert_int_eq(mkdir("theirs", 0755), 0);
    ck_assert_int_eq(mkdir("ours", 0755), 0);
    int fd = open("ours/secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    memset(&err, 0, sizeof err);
}

static void
remove_dirs(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf %s", dir);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

/* False: not root, who is the only one with something to lose here. */
static bool
be_root(void)
{
    make_dirs();
    if (geteuid() == 0 && chown("theirs", ATTACKER, ATTACKER) == 0) {
        return true;
    }
    remove_dirs();
    return false;
}

static void
link_of(uid_t uid, const char *target, const char *path)
{
    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert_int_eq(lchown(path, uid, uid), 0);
}

static uid_t
owner(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_uid;
}

/* Opens as a log does, and gives it to that user. -errno of what was refused,
 * 0 or 1: it belongs to the user. */
static int
append_and_give(const char *path, int uid)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    bool made;
    struct stat st;
    int r = cg_place_find(path, CG_PLACE_FOLLOW, &place, &err);
    if (r < 0) {
        return r;
    }
    cg_auto(fd_close) int fd = cg_place_append(&place, 0644, &made, &err);
    if (fd < 0) {
        return fd;
    }
    r = cg_place_give(&place, fd, made, uid, uid, &err);
    ck_assert_int_eq(fstat(fd, &st), 0);
    return r < 0 ? r : st.st_uid == (uid_t)uid;
}

START_TEST(a_new_file_goes_to_its_user)
{
    if (be_root()) {
        ck_assert_int_eq(append_and_give("theirs/a.log", ATTACKER), 1);
        ck_assert_int_eq(append_and_give("theirs/a.log", ATTACKER), 1);
        ck_assert_int_eq(append_and_give("ours/a.log", ATTACKER), 1);
        remove_dirs();
    }
}
END_TEST

START_TEST(a_link_of_others_does_not_lead_to_files_of_root)
{
    if (be_root()) {
        link_of(ATTACKER, "../ours/secret", "theirs/a.log");
        link_of(ATTACKER, "../ours", "theirs/logs");
        link_of(ATTACKER, dir, "theirs/far");
        ck_assert_int_eq(append_and_give("theirs/a.log", ATTACKER), -EPERM);
        ck_assert_ptr_nonnull(strstr(err.text, "symbolic link of uid 65534"));
        ck_assert_int_eq(append_and_give("theirs/logs/new", ATTACKER), -EPERM);
        ck_assert_int_eq(append_and_give("theirs/far/ours/new", ATTACKER),
                         -EPERM);
        ck_assert_int_eq(access("ours/new", F_OK), -1);
        ck_assert_uint_eq(owner("ours/secret"), 0);
        remove_dirs();
    }
}
END_TEST

START_TEST(a_link_of_theirs_to_folders_of_theirs_is_followed)
{
    if (be_root()) {
        link_of(ATTACKER, "../theirs/b.log", "theirs/a.log");
        ck_assert_int_eq(append_and_give("theirs/a.log", ATTACKER), 1);
        ck_assert_uint_eq(owner("theirs/b.log"), ATTACKER);
        link_of(OTHER, "theirs/c.log", "c.log");
        ck_assert_int_eq(append_and_give("c.log", ATTACKER), -EPERM);
        remove_dirs();
    }
}
END_TEST

START_TEST(a_link_of_root_is_followed)
{
    if (be_root()) {
        link_of(0, "ours", "logs");
        link_of(0, "/dev/stdout", "ours/out.log");
        ck_assert_int_eq(append_and_give("logs/a.log", ATTACKER), 1);
        ck_assert_int_ge(append_and_give("logs/out.log", 0), 0);
        remove_dirs();
    }
}
END_TEST

START_TEST(links_without_an_end_are_told)
{
    if (be_root()) {
        link_of(0, "b", "a");
        link_of(0, "a", "b");
        ck_assert_int_eq(append_and_give("a", ATTACKER), -ELOOP);
        remove_dirs();
    }
}
END_TEST

START_TEST(a_second_name_of_a_file_of_root_is_refused)
{
    if (be_root()) {
        ck_assert_int_eq(link("ours/secret", "theirs/a.log"), 0);
        ck_assert_int_eq(append_and_give("theirs/a.log", ATTACKER), -EPERM);
        ck_assert_ptr_nonnull(strstr(err.text, "has another name elsewhere"));
        remove_dirs();
    }
}
END_TEST

START_TEST(a_file_of_root_among_others_keeps_its_owner)
{
    if (be_root()) {
        ck_assert_int_eq(rename("ours/secret", "theirs/a.log"), 0);
        ck_assert_int_eq(append_and_give("theirs/a.log", ATTACKER), -EPERM);
        ck_assert_ptr_nonnull(strstr(err.text, "keeps its owner"));
        ck_assert_uint_eq(owner("theirs/a.log"), 0);
        /* among its own it may be given */
        ck_assert_int_eq(rename("theirs/a.log", "ours/a.log"), 0);
        ck_assert_int_eq(append_and_give("ours/a.log", ATTACKER), 1);
        remove_dirs();
    }
}
END_TEST

START_TEST(a_device_or_a_pipe_keeps_its_owner_and_nobody_waits)
{
    if (be_root()) {
        ck_assert_int_eq(mkfifo("theirs/pipe", 0600), 0);
        ck_assert_int_eq(append_and_give("theirs/pipe", ATTACKER), 0);
        if (mknod("ours/null", S_IFCHR | 0666, makedev(1, 3)) == 0) {
            int r = append_and_give("ours/null", ATTACKER);
            ck_assert(r == 0 || r == -EACCES); /* mounted nodev */
            ck_assert_uint_eq(owner("ours/null"), 0);
        }
        remove_dirs();
    }
}
END_TEST

START_TEST(the_link_itself_is_the_place_if_asked)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    struct stat st;
    if (be_root()) {
        link_of(ATTACKER, "../ours/secret", "theirs/pid");
        ck_assert_int_eq(
            cg_place_find("theirs/pid", CG_PLACE_STAY, &place, &err), 0);
        ck_assert_str_eq(place.name, "pid");
        ck_assert_int_eq(cg_place_stat(&place, &st), 0);
        ck_assert(S_ISLNK(st.st_mode));
        remove_dirs();
    }
}
END_TEST

START_TEST(what_is_no_place_is_told)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    make_dirs();
    ck_assert_int_eq(cg_place_find("no/a", CG_PLACE_FOLLOW, &place, &err),
                     -ENOENT);
    ck_assert_int_eq(
        cg_place_find("ours/secret/a", CG_PLACE_FOLLOW, &place, &err),
        -ENOTDIR);
    ck_assert_int_eq(place.dir_fd, -1);
    remove_dirs();
}
END_TEST

TESTS("place", a_new_file_goes_to_its_user,
      a_link_of_others_does_not_lead_to_files_of_root,
      a_link_of_theirs_to_folders_of_theirs_is_followed,
      a_link_of_root_is_followed, links_without_an_end_are_told,
      a_second_name_of_a_file_of_root_is_refused,
      a_file_of_root_among_others_keeps_its_owner,
      a_device_or_a_pipe_keeps_its_owner_and_nobody_waits,
      the_link_itself_is_the_place_if_asked, what_is_no_place_is_told)
