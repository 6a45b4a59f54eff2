/* SPDX-License-Identifier: MIT */
/*
 * The log's files: format, levels, appending, reopening, one write per line,
 * and what happens to lines that cannot be written.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "logging/log.h"

static char dir[64];

static void
make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/cg_log_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    signal(SIGPIPE, SIG_IGN); /* as the interpreter sets it */
}

static void
remove_dir(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf %s", dir);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

static struct cg_log_options
options(void)
{
    return (struct cg_log_options){.errorlog = "error.log",
                                   .accesslog = "access.log",
                                   .uid = -1,
                                   .gid = -1};
}

static struct cg_log *
open_log(const struct cg_log_options *o)
{
    struct cg_log *log = NULL;
    struct cg_error err = {0};
    ck_assert_msg(cg_log_new(o, &log, &err) == 0, "%s", err.text);
    return log;
}

static char *
content(const char *path)
{
    cg_auto(buf) struct cg_buf b = {0};
    FILE *f = fopen(path, "r");
    int c;
    ck_assert_msg(f != NULL, "no %s", path);
    while ((c = getc(f)) != EOF) {
        cg_buf_putc(&b, (char)c);
    }
    fclose(f);
    return b.n > 0 ? cg_buf_take(&b) : cg_strdup("");
}

static void
write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void
expect_match(const char *text, const char *pattern)
{
    regex_t re;
    ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&re, text, 0, NULL, 0) == 0, "'%s' is not like '%s'",
                  text, pattern);
    regfree(&re);
}

static void
access_line(struct cg_log *log, const char *text)
{
    cg_log_access(log, cg_slice_of(text));
}

/* ---- format and levels ---- */

START_TEST(a_line_has_time_process_and_level)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    cg_log_line(log, CG_INFO, "Listening at: %s (%d)", "here", 7);
    cg_auto(free) char *got = content("error.log");
    cg_auto(free) char *want =
        cg_strf("^\\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} "
                "[+-][0-9]{4}\\] \\[%d\\] \\[INFO\\] Listening at: here "
                "\\(7\\)\n$",
                (int)getpid());
    expect_match(got, want);
    cg_log_free(log);
}
END_TEST

START_TEST(the_time_says_its_zone)
{
    struct cg_log_options o = options();
    setenv("TZ", "XYZ+03:30", 1);
    tzset();
    struct cg_log *log = open_log(&o);
    cg_log_line(log, CG_INFO, "x");
    unsetenv("TZ");
    tzset();
    cg_auto(free) char *got = content("error.log");
    expect_match(got, "^\\[[0-9: -]* -0330\\] ");
    cg_log_free(log);
}
END_TEST

static const struct {
    const char *word;
    enum cg_level least;
} levels[] = {{"debug", CG_DEBUG},
              {"INFO", CG_INFO},
              {"warning", CG_WARNING},
              {"Error", CG_ERROR},
              {"critical", CG_CRITICAL},
              /* as in gunicorn, what is no level means info */
              {"warn", CG_INFO},
              {"nonsense", CG_INFO},
              {NULL, CG_INFO}};

START_TEST(a_level_hides_what_is_below_it)
{
    struct cg_log_options o = options();
    o.level = levels[_i].word;
    struct cg_log *log = open_log(&o);
    for (int level = CG_DEBUG; level <= CG_CRITICAL; level += 10) {
        bool shown = level >= (int)levels[_i].least;
        ck_assert_int_eq(cg_log_enabled(log, (enum cg_level)level), shown);
        cg_log_line(log, (enum cg_level)level, "at %d.", level);
    }
    cg_auto(free) char *got = content("error.log");
    for (int level = CG_DEBUG; level <= CG_CRITICAL; level += 10) {
        cg_auto(free) char *text = cg_strf("at %d.", level);
        ck_assert_msg((strstr(got, text) != NULL) ==
                          (level >= (int)levels[_i].least),
                      "%s: %s", levels[_i].word, got);
    }
    cg_log_free(log);
}
END_TEST

START_TEST(levels_have_pythons_words)
{
    struct cg_log_options o = options();
    o.level = "debug";
    struct cg_log *log = open_log(&o);
    const char *const words[] = {"DEBUG", "INFO", "WARNING", "ERROR",
                                 "CRITICAL"};
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        cg_log_line(log, (enum cg_level)((i + 1) * 10), "%s it is", words[i]);
        cg_auto(free) char *got = content("error.log");
        cg_auto(free) char *want =
            cg_strf("[%s] %s it is\n", words[i], words[i]);
        ck_assert_msg(strstr(got, want) != NULL, "%s", got);
    }
    cg_log_free(log);
}
END_TEST

START_TEST(a_text_may_have_several_lines)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    cg_log_exception(log, CG_SLICE("Error handling\nTraceback\n  x"));
    cg_auto(free) char *got = content("error.log");
    expect_match(got, "\\[ERROR\\] Error handling\nTraceback\n  x\n$");
    cg_log_free(log);
}
END_TEST

START_TEST(a_long_line_is_cut)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    cg_auto(buf) struct cg_buf long_text = {0};
    for (int i = 0; i < 200000; i++) {
        cg_buf_putc(&long_text, 'x');
    }
    cg_log_text(log, CG_INFO, (struct cg_slice){long_text.p, long_text.n});
    cg_log_access(log, (struct cg_slice){long_text.p, long_text.n});
    cg_auto(free) char *got = content("error.log");
    cg_auto(free) char *access = content("access.log");
    ck_assert_uint_eq(strlen(got), 64 * 1024);
    ck_assert_uint_eq(strlen(access), 64 * 1024 + 1);
    ck_assert_int_eq(access[64 * 1024], '\n');
    cg_log_free(log);
}
END_TEST

START_TEST(an_access_line_is_the_line)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    ck_assert(cg_log_has_access(log));
    access_line(log, "one");
    access_line(log, "two");
    cg_auto(free) char *got = content("access.log");
    ck_assert_str_eq(got, "one\ntwo\n");
    cg_log_free(log);
}
END_TEST

START_TEST(without_an_access_log_there_is_none)
{
    struct cg_log_options o = options();
    o.accesslog = NULL;
    struct cg_log *log = open_log(&o);
    ck_assert(!cg_log_has_access(log));
    ck_assert(!cg_log_wants_requests(log));
    access_line(log, "one");
    ck_assert_int_lt(access("access.log", F_OK), 0);
    cg_log_free(log);
}
END_TEST

/* ---- files ---- */

START_TEST(files_are_appended_to)
{
    struct cg_log_options o = options();
    write_file("error.log", "old\n");
    write_file("access.log", "old\n");
    struct cg_log *log = open_log(&o);
    cg_log_line(log, CG_INFO, "new");
    access_line(log, "new");
    cg_auto(free) char *errors = content("error.log");
    cg_auto(free) char *lines = content("access.log");
    ck_assert(strncmp(errors, "old\n[", 5) == 0);
    ck_assert_str_eq(lines, "old\nnew\n");
    cg_log_free(log);
}
END_TEST

START_TEST(a_truncated_file_begins_anew)
{
    struct cg_log_options o = options(); /* logrotate's copytruncate */
    struct cg_log *log = open_log(&o);
    access_line(log, "before");
    ck_assert_int_eq(truncate("access.log", 0), 0);
    access_line(log, "after");
    cg_auto(free) char *got = content("access.log");
    ck_assert_str_eq(got, "after\n");
    cg_log_free(log);
}
END_TEST

START_TEST(a_missing_folder_is_named)
{
    struct cg_log_options o = options();
    struct cg_log *log = NULL;
    struct cg_error err = {0};
    o.errorlog = "nowhere/error.log";
    ck_assert_int_eq(cg_log_new(&o, &log, &err), -ENOENT);
    ck_assert_ptr_null(log);
    ck_assert_str_eq(err.text,
                     "errorlog: 'nowhere/error.log' isn't writable: the folder "
                     "'nowhere' doesn't exist; make it, or name another file");
    o = options();
    o.accesslog = dir;
    ck_assert_int_eq(cg_log_new(&o, &log, &err), -EISDIR);
    ck_assert_ptr_nonnull(strstr(err.text, "accesslog: '"));
    ck_assert_ptr_nonnull(strstr(err.text, "isn't writable: Is a directory"));
}
END_TEST

START_TEST(a_moved_file_is_made_anew_when_reopened)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    int fd = cg_log_error_fd(log);
    access_line(log, "before");
    ck_assert_int_eq(rename("access.log", "moved"), 0);
    ck_assert_int_eq(rename("error.log", "moved2"), 0);
    access_line(log, "still");
    cg_log_reopen(log);
    access_line(log, "after");
    cg_log_line(log, CG_INFO, "after");
    cg_auto(free) char *old = content("moved");
    cg_auto(free) char *new = content("access.log");
    cg_auto(free) char *errors = content("error.log");
    ck_assert_str_eq(old, "before\nstill\n");
    ck_assert_str_eq(new, "after\n");
    ck_assert_ptr_nonnull(strstr(errors, "after"));
    ck_assert_int_eq(cg_log_error_fd(log), fd); /* who holds it follows */
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    cg_log_free(log);
}
END_TEST

START_TEST(a_file_that_cannot_be_reopened_stays)
{
    struct cg_log_options o = options();
    ck_assert_int_eq(mkdir("logs", 0755), 0);
    o.accesslog = "logs/access.log";
    struct cg_log *log = open_log(&o);
    ck_assert_int_eq(rename("logs", "gone"), 0);
    cg_log_reopen(log);
    access_line(log, "after");
    cg_auto(free) char *lines = content("gone/access.log");
    cg_auto(free) char *errors = content("error.log");
    ck_assert_str_eq(lines, "after\n");
    expect_match(errors, "\\[ERROR\\] cannot reopen, the old file stays: "
                         "accesslog: 'logs/access.log' isn't writable: the "
                         "folder 'logs' doesn't exist");
    cg_log_free(log);
}
END_TEST

START_TEST(another_configuration_takes_over_or_nothing_changes)
{
    struct cg_log_options o = options(), other = options();
    struct cg_error err = {0};
    struct cg_log *log = open_log(&o);
    other.accesslog = "nowhere/a.log";
    ck_assert_int_lt(cg_log_reconfigure(log, &other, &err), 0);
    access_line(log, "old");
    other.accesslog = "other.log";
    other.level = "error";
    ck_assert_int_eq(cg_log_reconfigure(log, &other, &err), 0);
    access_line(log, "new");
    cg_log_line(log, CG_INFO, "hidden");
    cg_auto(free) char *first = content("access.log");
    cg_auto(free) char *second = content("other.log");
    cg_auto(free) char *errors = content("error.log");
    ck_assert_str_eq(first, "old\n");
    ck_assert_str_eq(second, "new\n");
    ck_assert_ptr_null(strstr(errors, "hidden"));
    cg_log_free(log);
}
END_TEST

START_TEST(captured_output_goes_to_the_error_log_and_follows_it)
{
    struct cg_log_options o = options();
    o.capture_output = true;
    pid_t pid = fork(); /* it would take the test's own output */
    if (pid == 0) {
        struct cg_log *log = NULL;
        struct cg_error err = {0};
        if (cg_log_new(&o, &log, &err) < 0 || write(1, "to 1\n", 5) != 5 ||
            rename("error.log", "moved") < 0) {
            _exit(1);
        }
        cg_log_reopen(log);
        _exit(write(2, "to 2\n", 5) == 5 ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    cg_auto(free) char *old = content("moved");
    cg_auto(free) char *new = content("error.log");
    ck_assert_str_eq(old, "to 1\n");
    ck_assert_str_eq(new, "to 2\n");
}
END_TEST

START_TEST(new_files_belong_to_the_worker_user)
{
    struct stat st;
    struct cg_log_options o = options();
    if (geteuid() != 0) {
        return; /* only root may give files away */
    }
    o.uid = 12345;
    o.gid = 54321;
    struct cg_log *log = open_log(&o);
    ck_assert_int_eq(stat("access.log", &st), 0);
    ck_assert_int_eq(st.st_uid, 12345);
    ck_assert_int_eq(st.st_gid, 54321);
    ck_assert_int_eq(unlink("error.log"), 0);
    cg_log_reopen(log);
    ck_assert_int_eq(stat("error.log", &st), 0);
    ck_assert_int_eq(st.st_uid, 12345);
    cg_log_free(log);
}
END_TEST

START_TEST(a_user_who_may_not_reopen_is_told_so)
{
    struct cg_log_options o = options();
    if (geteuid() != 0) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct cg_log *log = NULL;
        struct cg_error err = {0};
        if (cg_log_new(&o, &log, &err) < 0 || chmod("access.log", 0600) < 0 ||
            setgid(54321) < 0 || setuid(12345) < 0) {
            _exit(1);
        }
        cg_log_reopen(log);
        access_line(log, "still written");
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    cg_auto(free) char *errors = content("error.log");
    cg_auto(free) char *lines = content("access.log");
    expect_match(errors, "cannot reopen, the old file stays: accesslog: "
                         "'access.log' isn't writable: Permission denied for "
                         "user 12345: let that user write the file");
    ck_assert_str_eq(lines, "still written\n");
}
END_TEST

/* ---- one write for a line ---- */

START_TEST(lines_of_several_processes_do_not_mix)
{
    enum { WRITERS = 4, LINES = 300 };
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    char line[700];
    for (int w = 0; w < WRITERS; w++) {
        if (fork() == 0) {
            memset(line, 'a' + w, sizeof line);
            for (int i = 0; i < LINES; i++) {
                cg_log_access(log, (struct cg_slice){line, sizeof line});
            }
            _exit(0);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        wait(NULL);
    }
    cg_auto(free) char *got = content("access.log");
    ck_assert_uint_eq(strlen(got), WRITERS * LINES * (sizeof line + 1));
    for (char *p = got; *p != '\0'; p += sizeof line + 1) {
        ck_assert_int_eq(p[sizeof line], '\n');
        ck_assert_int_eq(p[0], p[sizeof line - 1]);
    }
    cg_log_free(log);
}
END_TEST

START_TEST(a_line_is_one_packet)
{
    int pair[2], kept = dup(1);
    char got[4096];
    struct cg_log_options o = options();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    fflush(stdout);
    dup2(pair[0], 1);
    o.accesslog = "-";
    struct cg_log *log = open_log(&o);
    access_line(log, "first");
    access_line(log, "second");
    dup2(kept, 1);
    ssize_t n = recv(pair[1], got, sizeof got, 0);
    ck_assert_int_eq(n, 6);
    ck_assert(memcmp(got, "first\n", 6) == 0);
    n = recv(pair[1], got, sizeof got, 0);
    ck_assert_int_eq(n, 7);
    cg_log_free(log);
}
END_TEST

/* ---- what cannot be written ---- */

START_TEST(a_full_pipe_drops_lines_and_blocks_nobody)
{
    enum { LINES = 2000 };
    char line[300], got[65536];
    struct cg_log_options o = options();
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    o.accesslog = "pipe";
    struct cg_log *log = open_log(&o); /* no reader: it does not wait */
    memset(line, 'x', sizeof line);
    for (int i = 0; i < LINES; i++) {
        cg_log_access(log, (struct cg_slice){line, sizeof line});
    }
    unsigned long dropped = cg_log_dropped(log);
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_lt(dropped, LINES);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    ssize_t n, lines = 0;
    while ((n = read(reader, got, sizeof got)) > 0) {
        lines += n / 301;
    }
    cg_log_access(log, (struct cg_slice){line, sizeof line});
    ck_assert_uint_eq(cg_log_dropped(log), dropped);
    ck_assert_int_gt(lines, 0);
    cg_log_line(log, CG_INFO, "room again");
    cg_auto(free) char *errors = content("error.log");
    expect_match(errors, "\\[WARNING\\] the accesslog 'pipe' cannot be "
                         "written: Resource temporarily unavailable; its lines "
                         "are lost until it can\n");
    cg_auto(free) char *told = cg_strf(
        "%lu log lines were lost: the log could not be written\n", dropped);
    ck_assert_msg(strstr(errors, told) != NULL, "no '%s' in %s", told, errors);
    close(reader);
    cg_log_free(log);
}
END_TEST

START_TEST(standard_error_that_is_a_full_pipe_blocks_nobody)
{
    int pipe_fds[2], kept = dup(2);
    struct cg_log_options o = options();
    char fill[4096] = {0};
    ck_assert_int_eq(pipe(pipe_fds), 0);
    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
    while (write(pipe_fds[1], fill, sizeof fill) > 0) {
    }
    fcntl(pipe_fds[1], F_SETFL, 0);
    dup2(pipe_fds[1], 2);
    o.errorlog = "-";
    struct cg_log *log = open_log(&o);
    for (int i = 0; i < 50; i++) {
        cg_log_line(log, CG_INFO, "line %d", i);
    }
    int flags = fcntl(2, F_GETFL);
    dup2(kept, 2);
    ck_assert_uint_eq(cg_log_dropped(log), 50);
    ck_assert_int_eq(flags & O_NONBLOCK, 0); /* as others know it */
    cg_log_free(log);
}
END_TEST

START_TEST(a_full_disk_is_told_once_on_standard_error)
{
    int pipe_fds[2], kept = dup(2);
    char got[4096];
    struct cg_log_options o = options();
    ck_assert_int_eq(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], 2);
    o.errorlog = "/dev/full";
    struct cg_log *log = open_log(&o);
    for (int i = 0; i < 5; i++) {
        cg_log_line(log, CG_ERROR, "line %d", i);
    }
    dup2(kept, 2);
    close(pipe_fds[1]);
    cg_log_free(log);
    ssize_t n = read(pipe_fds[0], got, sizeof got - 1);
    ck_assert_int_gt(n, 0);
    got[n] = '\0';
    ck_assert_str_eq(got, "cgunicorn: the errorlog '/dev/full' cannot be "
                          "written: No space left on device; its lines are "
                          "lost until it can\n");
}
END_TEST

/* The limit on a file's size stands for a disk that is full and is not any
 * more: the line that was cut must not run into the next one. */
START_TEST(after_a_cut_line_the_next_begins_anew)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    struct rlimit old, tight;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 10;
    access_line(log, "12345");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    access_line(log, "abcdefghij");
    access_line(log, "lost");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    access_line(log, "after");
    cg_auto(free) char *got = content("access.log");
    ck_assert_str_eq(got, "12345\nabcd\nafter\n");
    ck_assert_uint_ge(cg_log_dropped(log), 2);
    cg_log_free(log);
}
END_TEST

START_TEST(a_closed_standard_error_costs_lines_only)
{
    int kept = dup(2);
    struct cg_log_options o = options();
    o.errorlog = "-";
    close(2);
    struct cg_log *log = open_log(&o);
    errno = 77;
    cg_log_line(log, CG_ERROR, "lost");
    int after = errno;
    dup2(kept, 2);
    ck_assert_int_eq(after, 77); /* logging keeps errno */
    ck_assert_uint_eq(cg_log_dropped(log), 1);
    cg_log_free(log);
}
END_TEST

/* ---- a logger of another layer ---- */

static struct {
    bool open, works;
    int woken;
    char got[8192];
    struct cg_log *log;
} layer;

static bool
layer_is_open(void *self)
{
    return layer.open;
}

static void
layer_wake(void *self)
{
    layer.woken++;
}

static bool
layer_emit(void *self, const struct cg_log_event *e)
{
    cg_auto(buf) struct cg_buf b = {0};
    if (!layer.works) {
        return false;
    }
    cg_buf_putf(&b, "%s%d:", layer.got, (int)e->kind);
    if (e->kind == CG_EVENT_REQUEST) {
        cg_buf_put(&b, e->request->uri.p, e->request->uri.n);
        cg_buf_putf(&b, "=%d;", e->request->status);
    } else if (e->kind == CG_EVENT_METRIC) {
        cg_buf_putf(&b, "%s=%ld%s;", e->metric, e->value, e->type);
    } else {
        cg_buf_putf(&b, "%.*s;", (int)e->text.n, e->text.p);
    }
    snprintf(layer.got, sizeof layer.got, "%s", cg_buf_str(&b));
    return true;
}

/* One that answers each line with a line. */
static bool
layer_recurse(void *self, const struct cg_log_event *e)
{
    cg_log_line(layer.log, CG_ERROR, "again");
    return true;
}

static struct cg_log *
routed_log(void)
{
    struct cg_log_options o = options();
    struct cg_log *log = open_log(&o);
    memset(&layer, 0, sizeof layer);
    layer.open = layer.works = true;
    cg_log_set_route(log, &(struct cg_log_route){.errors = true,
                                                 .access = true,
                                                 .is_open = layer_is_open,
                                                 .emit = layer_emit,
                                                 .wake = layer_wake});
    return log;
}

static const struct cg_access_record request = {
    .uri = {"/a", 2}, .method = {"GET", 3}, .status = 400};

START_TEST(a_route_takes_the_lines)
{
    struct cg_log *log = routed_log();
    cg_log_line(log, CG_DEBUG, "level is the logger's own");
    cg_log_exception(log, CG_SLICE("oh"));
    cg_log_metric(log, CG_DEBUG, "gunicorn.workers", 3, "g", "3 workers");
    access_line(log, "a line");
    cg_log_request(log, NULL, &request);
    ck_assert_str_eq(layer.got, "0:level is the logger's own;1:oh;"
                                "2:gunicorn.workers=3g;3:a line;4:/a=400;");
    ck_assert_int_eq(layer.woken, 0);
    cg_log_free(log);
    cg_auto(free) char *errors = content("error.log");
    ck_assert_str_eq(errors, "");
}
END_TEST

START_TEST(what_cannot_go_at_once_is_kept_in_order)
{
    struct cg_log *log = routed_log();
    layer.open = false;
    {
        cg_auto(free) char *text = cg_strdup("first");
        access_line(log, text);
    } /* the copy is the queue's own */
    cg_log_request(log, NULL, &request);
    ck_assert_str_eq(layer.got, "");
    ck_assert_int_eq(layer.woken, 1); /* once for all that waits */
    cg_log_flush(log);
    ck_assert_str_eq(layer.got, "");
    layer.open = true;
    cg_log_line(log, CG_INFO, "last");
    ck_assert_str_eq(layer.got, "3:first;4:/a=400;0:last;");
    cg_log_free(log);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
    struct cg_log *log = routed_log();
    layer.open = false;
    for (int i = 0; i < 3000; i++) {
        cg_log_line(log, CG_INFO, "x");
    }
    ck_assert_uint_eq(cg_log_dropped(log), 3000 - 2048);
    cg_log_free(log);
    cg_auto(free) char *errors = content("error.log");
    int lines = 0;
    for (const char *p = errors; *p != '\0'; p++) {
        lines += *p == '\n';
    }
    ck_assert_int_eq(lines, 2048); /* kept lines end in the file */
}
END_TEST

START_TEST(what_a_failing_logger_does_not_take_goes_to_the_file)
{
    struct cg_log *log = routed_log();
    layer.works = false;
    cg_log_line(log, CG_ERROR, "at once");
    layer.open = false;
    cg_log_line(log, CG_ERROR, "later");
    layer.open = true;
    cg_log_flush(log);
    cg_auto(free) char *errors = content("error.log");
    expect_match(errors, "\\[ERROR\\] at once\n.*\\[ERROR\\] later\n$");
    cg_log_free(log);
}
END_TEST

START_TEST(a_logger_that_logs_comes_to_an_end)
{
    struct cg_log *log = routed_log();
    layer.log = log;
    cg_log_set_route(log, &(struct cg_log_route){.errors = true,
                                                 .is_open = layer_is_open,
                                                 .emit = layer_recurse});
    cg_log_line(log, CG_ERROR, "once");
    cg_auto(free) char *errors = content("error.log");
    ck_assert_ptr_nonnull(strstr(errors, "[ERROR] again\n"));
    cg_log_free(log);
}
END_TEST

START_TEST(a_child_does_not_emit_what_its_parent_keeps)
{
    struct cg_log *log = routed_log();
    layer.open = false;
    cg_log_line(log, CG_INFO, "parent's");
    pid_t pid = fork();
    if (pid == 0) {
        cg_log_line(log, CG_INFO, "child's");
        layer.open = true;
        cg_log_flush(log);
        _exit(strcmp(layer.got, "0:child's;") == 0 ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    layer.open = true;
    cg_log_flush(log);
    ck_assert_str_eq(layer.got, "0:parent's;");
    cg_log_free(log);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("log");
    TCase *t = tcase_create("files");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, a_line_has_time_process_and_level);
    tcase_add_test(t, the_time_says_its_zone);
    tcase_add_loop_test(t, a_level_hides_what_is_below_it, 0, CG_COUNT(levels));
    tcase_add_test(t, levels_have_pythons_words);
    tcase_add_test(t, a_text_may_have_several_lines);
    tcase_add_test(t, a_long_line_is_cut);
    tcase_add_test(t, an_access_line_is_the_line);
    tcase_add_test(t, without_an_access_log_there_is_none);
    tcase_add_test(t, files_are_appended_to);
    tcase_add_test(t, a_truncated_file_begins_anew);
    tcase_add_test(t, a_missing_folder_is_named);
    tcase_add_test(t, a_moved_file_is_made_anew_when_reopened);
    tcase_add_test(t, a_file_that_cannot_be_reopened_stays);
    tcase_add_test(t, another_configuration_takes_over_or_nothing_changes);
    tcase_add_test(t, captured_output_goes_to_the_error_log_and_follows_it);
    tcase_add_test(t, new_files_belong_to_the_worker_user);
    tcase_add_test(t, a_user_who_may_not_reopen_is_told_so);
    tcase_add_test(t, lines_of_several_processes_do_not_mix);
    tcase_add_test(t, a_line_is_one_packet);
    tcase_add_test(t, a_full_pipe_drops_lines_and_blocks_nobody);
    tcase_add_test(t, standard_error_that_is_a_full_pipe_blocks_nobody);
    tcase_add_test(t, a_full_disk_is_told_once_on_standard_error);
    tcase_add_test(t, after_a_cut_line_the_next_begins_anew);
    tcase_add_test(t, a_closed_standard_error_costs_lines_only);
    suite_add_tcase(suite, t);
    t = tcase_create("route");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, a_route_takes_the_lines);
    tcase_add_test(t, what_cannot_go_at_once_is_kept_in_order);
    tcase_add_test(t, the_queue_is_bounded);
    tcase_add_test(t, what_a_failing_logger_does_not_take_goes_to_the_file);
    tcase_add_test(t, a_logger_that_logs_comes_to_an_end);
    tcase_add_test(t, a_child_does_not_emit_what_its_parent_keeps);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
