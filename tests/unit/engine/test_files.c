/* SPDX-License-Identifier: MIT */
/* Files below a folder: what is opened and what is not, with openat2 and
 * without; which folder a path means; for how long it may be kept. */
#include "core/engine/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/files/open.h"
#include "tests/unit/check_main.h"

static char root[] = "/tmp/cg-files-XXXXXX";
static int dir = -1;

static void
put_file(const char *path, const char *text)
{
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* root/in is what is served, root/secret is not. */
static void
make_tree(void)
{
    ck_assert_ptr_nonnull(mkdtemp(root));
    dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(dir, "in", 0755);
    mkdirat(dir, "in/sub", 0755);
    put_file("in/a", "a");
    put_file("in/sub/b", "b");
    put_file("secret", "s");
    ck_assert_int_eq(symlinkat("sub/b", dir, "in/inner"), 0);
    ck_assert_int_eq(symlinkat("../secret", dir, "in/outer"), 0);
    ck_assert_int_eq(symlinkat("/etc", dir, "in/etc"), 0);
    ck_assert_int_eq(symlinkat("loop", dir, "in/loop"), 0);
    close(dir);
    char path[64];
    snprintf(path, sizeof path, "%s/in", root);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
remove_tree(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf '%s'", root);
    close(dir);
    ck_assert_int_eq(system(command), 0);
}

static void
expect_inside(int (*open_it)(int, const char *), bool follows)
{
    static const char *const inside[] = {"a", "sub/b", "sub", ".", "sub/"};
    static const char *const outside[] = {
        "../secret", "sub/../../secret", "outer", "etc/passwd", "/etc", "loop"};
    for (size_t i = 0; i < CG_COUNT(inside); i++) {
        int fd = open_it(dir, inside[i]);
        ck_assert_msg(fd >= 0, "%s: %s", inside[i], strerror(-fd));
        close(fd);
    }
    for (size_t i = 0; i < CG_COUNT(outside); i++) {
        int fd = open_it(dir, outside[i]);
        ck_assert_msg(fd == -EXDEV || fd == -ELOOP || fd == -ENOTDIR, "%s: %d",
                      outside[i], fd);
    }
    int fd = open_it(dir, "inner");
    ck_assert_msg(follows ? fd >= 0 : fd == -ELOOP, "inner: %d", fd);
    cg_fd_close(&fd);
    ck_assert_int_eq(open_it(dir, "no"), -ENOENT);
    ck_assert_int_eq(open_it(dir, "a/b"), -ENOTDIR);
    cg_auto(free) char *name = cg_calloc(300, 1);
    memset(name, 'x', 299);
    ck_assert_int_eq(open_it(dir, name), -ENAMETOOLONG);
}

START_TEST(the_kernel_keeps_names_inside_of_the_folder)
{
    make_tree();
    int fd = cg_open_beneath(dir, "inner"); /* this kernel may have no call */
    expect_inside(cg_open_beneath, fd >= 0);
    cg_fd_close(&fd);
    remove_tree();
}
END_TEST

START_TEST(without_its_help_no_link_is_followed)
{
    make_tree();
    expect_inside(cg_open_beneath_by_steps, false);
    remove_tree();
}
END_TEST

START_TEST(the_longest_prefix_counts)
{
    struct cg_files f = {0};
    struct cg_error err = {0};
    struct cg_slice rest;
    const char *const prefixes[] = {"/static/", "/static/admin", "/"};
    for (size_t i = 0; i < CG_COUNT(prefixes); i++) {
        ck_assert_int_eq(
            cg_files_mount(&f, cg_slice_of(prefixes[i]), "/tmp", &err), 0);
    }
    static const struct {
        const char *path, *prefix, *rest;
    } rows[] = {{"/static/a", "/static", "/a"},
                {"/static/admin/a", "/static/admin", "/a"},
                {"/static/administer", "/static", "/administer"},
                {"/static", "/static", ""},
                {"/x", "", "/x"}};
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        const struct cg_mount *m =
            cg_files_mount_of(&f, cg_slice_of(rows[i].path), &rest);
        ck_assert_ptr_nonnull(m);
        ck_assert_str_eq(m->prefix.p, rows[i].prefix);
        ck_assert(cg_slice_is(rest, rows[i].rest));
    }
    cg_files_release(&f);
    ck_assert_ptr_null(cg_files_mount_of(&f, cg_slice_of("/x"), &rest));
}
END_TEST

START_TEST(a_folder_that_cannot_be_opened_is_named)
{
    struct cg_files f = {0};
    struct cg_error err = {0};
    ck_assert_int_eq(
        cg_files_mount(&f, cg_slice_of("/s"), "/no/such/place", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "'/no/such/place'"));
    cg_files_release(&f);
}
END_TEST

START_TEST(a_folder_that_was_moved_is_noticed_within_a_second)
{
    struct cg_files f = {0};
    struct cg_error err = {0};
    make_tree();
    cg_auto(free) char *link = cg_strf("%s/current", root);
    ck_assert_int_eq(symlink("in", link), 0);
    ck_assert_int_eq(cg_files_mount(&f, cg_slice_of("/s"), link, &err), 0);
    struct cg_mount *m = &f.mounts[0];
    int fd = cg_mount_fd(m, 5);
    ck_assert_int_eq(faccessat(fd, "a", R_OK, 0), 0);
    ck_assert_int_eq(unlink(link), 0);
    ck_assert_int_eq(symlink("in/sub", link), 0);
    ck_assert_int_eq(cg_mount_fd(m, 5), fd);
    ck_assert_int_eq(faccessat(fd, "a", R_OK, 0), 0);
    ck_assert_int_eq(cg_mount_fd(m, 6), fd);
    ck_assert_int_eq(faccessat(fd, "b", R_OK, 0), 0);
    cg_files_release(&f);
    remove_tree();
}
END_TEST

START_TEST(the_first_pattern_that_fits_says_how_long)
{
    struct cg_files f = {0};
    cg_files_expire(&f, cg_slice_of("*.css"), 60);
    cg_files_expire(&f, cg_slice_of("img/*"), 0);
    cg_files_expire(&f, cg_slice_of("fonts/*"), UINT32_MAX);
    static const struct {
        const char *path, *control;
    } rows[] = {
        {"a.css", "public, max-age=60"},
        {"deep/er/a.css", "public, max-age=60"},
        {"img/a.png", "no-cache"},
        {"other/img/a.png", NULL},
        {"fonts/a.woff2", "public, max-age=31536000, immutable"},
        {"app.3f2a91c4.js", "public, max-age=31536000, immutable"},
        {"app.3f2a91c4.css", "public, max-age=60"},
        {"a.js", NULL},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        const char *control =
            cg_files_cache_control(&f, cg_slice_of(rows[i].path));
        ck_assert_msg((control == NULL) == (rows[i].control == NULL), "%s",
                      rows[i].path);
        if (control != NULL) {
            ck_assert_str_eq(control, rows[i].control);
        }
    }
    cg_files_release(&f);
}
END_TEST

TESTS("files", the_kernel_keeps_names_inside_of_the_folder,
      without_its_help_no_link_is_followed, the_longest_prefix_counts,
      a_folder_that_cannot_be_opened_is_named,
      a_folder_that_was_moved_is_noticed_within_a_second,
      the_first_pattern_that_fits_says_how_long)
