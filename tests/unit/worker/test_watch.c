/* SPDX-License-Identifier: MIT */
/* Watching an application's files: which count, what a change is, and that a
 * burst of them is told once. */
#include "core/worker/reload/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/worker/reload/tree.h"
#include "tests/unit/check_main.h"

static char root[] = "/tmp/cg-watch-XXXXXX";

static void
put_file(const char *name, const char *text)
{
    cg_auto(free) char *path = cg_strf("%s/%s", root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void
make_tree(void)
{
    static const char *const folders[] = {"a",           "a/b",  ".git",
                                          "__pycache__", "venv", "more"};
    ck_assert_ptr_nonnull(mkdtemp(root));
    for (size_t i = 0; i < CG_COUNT(folders); i++) {
        cg_auto(free) char *path = cg_strf("%s/%s", root, folders[i]);
        ck_assert_int_eq(mkdir(path, 0755), 0);
    }
    static const char *const files[] = {
        "x.py",      "a/b/y.py",         "a/.hidden.py",    "a/b/y.pyc",
        ".git/z.py", "__pycache__/z.py", "venv/pyvenv.cfg", "venv/z.py",
        "x.log",     "more/t.html",      "more/t.html~",    "more/.t.swp"};
    for (size_t i = 0; i < CG_COUNT(files); i++) {
        put_file(files[i], "1");
    }
    cg_auto(free) char *loop = cg_strf("%s/a/loop", root);
    ck_assert_int_eq(symlink("..", loop), 0);
}

static void
remove_tree(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

static void
put_place(struct cg_buf *places, char kind, const char *name)
{
    cg_buf_putf(places, "%c%s%s", kind, root, name);
    cg_buf_putc(places, '\0');
}

static struct cg_slice
slice_of(const struct cg_buf *b)
{
    return (struct cg_slice){b->p, b->n};
}

/* "x.py a/b/y.py" */
static const char *
names_of(struct cg_slice places)
{
    static char text[500];
    struct cg_tree t = {0};
    cg_tree_scan(&t, places, NULL, NULL);
    text[0] = '\0';
    for (size_t i = 0; i < t.n; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, t.leaf[i].path + strlen(root) + 1);
    }
    cg_tree_release(&t);
    return text;
}

START_TEST(only_what_is_the_application_s_counts)
{
    static const struct {
        char kind;
        const char *name, *found;
    } rows[] = {{'C', "", "a/b/y.py x.py"},
                {'D', "/more", "more/t.html"},
                {'F', "/x.log", "x.log"},
                {'F', "/none", ""},
                {'G', "/more/*.html", "more/t.html"},
                {'G', "/*/*/y.p?", "a/b/y.py"},
                {'C', "/none", ""}};
    make_tree();
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_auto(buf) struct cg_buf places = {0};
        put_place(&places, rows[i].kind, rows[i].name);
        ck_assert_str_eq(names_of(slice_of(&places)), rows[i].found);
    }
    remove_tree();
}
END_TEST

START_TEST(links_are_followed)
{
    cg_auto(buf) struct cg_buf places = {0};
    make_tree(); /* with a link that leads back up */
    cg_auto(free) char *link = cg_strf("%s/linked", root);
    ck_assert_int_eq(symlink(".git", link), 0);
    put_place(&places, 'C', "");
    ck_assert_str_eq(names_of(slice_of(&places)), "a/b/y.py linked/z.py x.py");
    remove_tree();
}
END_TEST

START_TEST(a_difference_is_named)
{
    cg_auto(buf) struct cg_buf places = {0};
    struct cg_tree before = {0}, same = {0}, more = {0}, other = {0};
    make_tree();
    put_place(&places, 'C', "");
    cg_tree_scan(&before, slice_of(&places), NULL, NULL);
    cg_tree_scan(&same, slice_of(&places), NULL, NULL);
    ck_assert_ptr_null(cg_tree_difference(&before, &same));
    put_file("a/new.py", "1");
    cg_tree_scan(&more, slice_of(&places), NULL, NULL);
    ck_assert(cg_ends_with(cg_tree_difference(&before, &more), "/a/new.py"));
    ck_assert(cg_ends_with(cg_tree_difference(&more, &before), "/a/new.py"));
    put_file("x.py", "longer");
    cg_tree_scan(&other, slice_of(&places), NULL, NULL);
    ck_assert(cg_ends_with(cg_tree_difference(&more, &other), "/x.py"));
    const struct timespec never = {0}, ever = {.tv_sec = 1L << 40};
    ck_assert_ptr_nonnull(cg_tree_modified(&other, never, ever));
    ck_assert_ptr_null(cg_tree_modified(&other, ever, ever));
    cg_tree_release(&before);
    cg_tree_release(&same);
    cg_tree_release(&more);
    cg_tree_release(&other);
    remove_tree();
}
END_TEST

static int told[2];

static void
on_changed(void *self, const char *path)
{
    ck_assert_ptr_nonnull(path);
    if (path != NULL) { /* says the same to a compiler that checks writes */
        ck_assert_int_eq(write(told[1], path, strlen(path) + 1),
                         (ssize_t)strlen(path) + 1);
    }
}

static bool
is_told(int ms)
{
    char path[300];
    struct pollfd p = {.fd = told[0], .events = POLLIN};
    return poll(&p, 1, ms) > 0 && read(told[0], path, sizeof path) > 0;
}

/* How often the thread that watches has gone to sleep; -1: there is none. */
static long
sleeps_of_watch(void)
{
    struct dirent *entry;
    long sleeps = -1;
    DIR *dir = opendir("/proc/self/task");
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char line[256];
        bool found = false;
        cg_auto(free) char *path =
            cg_strf("/proc/self/task/%s/status", entry->d_name);
        FILE *f = fopen(path, "re");
        while (f != NULL && fgets(line, sizeof line, f) != NULL) {
            found = found || strcmp(line, "Name:\treload\n") == 0;
            if (found) {
                sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps);
            }
        }
        if (f != NULL) {
            fclose(f);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return sleeps;
}

static void
expect_one_for_a_burst(bool polls)
{
    cg_auto(buf) struct cg_buf places = {0};
    struct cg_watch *w = NULL;
    struct cg_error err = {0};
    make_tree();
    ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
    put_place(&places, 'C', "");
    /* what is younger than the beginning of time is told at the start */
    const struct cg_watch_options o = {
        .places = slice_of(&places), .polls = polls, .changed = on_changed};
    ck_assert_int_eq(cg_watch_start(&o, &w, &err), 0);
    ck_assert(is_told(20000)); /* so it watches */
    put_file("x.py", "22");
    put_file("a/b/y.py", "22");
    ck_assert(is_told(20000));
    put_file("x.log", "not ours");
    ck_assert(!is_told(polls ? 1200 : 300));
    if (!polls) { /* and while nothing happens it does nothing */
        long sleeps = sleeps_of_watch();
        ck_assert_int_gt(sleeps, 0);
        ck_assert(!is_told(300));
        ck_assert_int_eq(sleeps_of_watch(), sleeps);
    }
    cg_watch_stop(w);
    close(told[0]);
    close(told[1]);
    remove_tree();
}

START_TEST(the_kernel_tells_of_a_burst_once)
{
    expect_one_for_a_burst(false);
}
END_TEST

START_TEST(so_does_the_clock)
{
    expect_one_for_a_burst(true);
}
END_TEST

TESTS("watch", only_what_is_the_application_s_counts, links_are_followed,
      a_difference_is_named, the_kernel_tells_of_a_burst_once,
      so_does_the_clock)
