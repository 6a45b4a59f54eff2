/* SPDX-License-Identifier: MIT */
#include "cmd/check_command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/control/json.h"
#include "core/py/runtime/interp.h"

enum { EXIT_GOOD = 0, EXIT_ERROR = 1, EXIT_WARNED = 3 };

/* ---- the command line ---- */

bool
cg_check_is(int argc, char *const *argv)
{
    bool is_module =
        access("check.py", F_OK) == 0 || access("check/__init__.py", F_OK) == 0;
    return argc >= 2 && strcmp(argv[1], "check") == 0 && !is_module;
}

static void
take_word(int *argc, char **argv, int at)
{
    free(argv[at]);
    memmove(argv + at, argv + at + 1,
            (size_t)(*argc - at) * sizeof *argv); /* with the NULL */
    (*argc)--;
}

void
cg_check_take_words(struct cg_check *c, int *argc, char **argv)
{
    take_word(argc, argv, 1);
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0;) {
        bool json = strcmp(argv[i], "--json") == 0;
        bool strict = strcmp(argv[i], "--strict") == 0;
        c->json = c->json || json;
        c->strict = c->strict || strict;
        if (json || strict) {
            take_word(argc, argv, i);
        } else {
            i++;
        }
    }
}

/* ---- what does not fit the system ---- */

static void
check_files(struct cg_check *c, const struct cg_settings *s)
{
    struct rlimit files;
    long long wanted = (long long)cg_settings_int(s, CG_worker_connections);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        files.rlim_max < (rlim_t)wanted + 64) {
        cg_findings_warn(&c->found,
                         "ulimit -n: %llu descriptors do not suffice for "
                         "worker_connections = %lld: raise it (systemd: "
                         "LimitNOFILE, Docker: --ulimit nofile)",
                         (unsigned long long)files.rlim_max, wanted);
    }
}

static void
check_user(struct cg_check *c, const struct cg_settings *s)
{
    if (geteuid() == 0 && cg_settings_int(s, CG_user) == 0) {
        cg_findings_warn(&c->found, "user: workers would run as root: name a "
                                    "user for them with `user` (--user)");
    }
}

/* Heroku's router gives a request up after 30 s (H12). */
static void
check_platform(struct cg_check *c, const struct cg_settings *s)
{
    enum { ROUTER_S = 30 };
    long long timeout = (long long)cg_settings_int(s, CG_timeout);
    if (getenv("DYNO") != NULL && getenv("PORT") != NULL &&
        (timeout == 0 || timeout >= ROUTER_S) &&
        cg_settings_int(s, CG_request_timeout) == 0) {
        cg_findings_warn(&c->found,
                         "timeout = %lld: Heroku's router answers for the "
                         "server after 30 s (H12), while the request goes on: "
                         "set request_timeout = 25, or a timeout below 30",
                         timeout);
    }
}

void
cg_check_system(struct cg_check *c, const struct cg_settings *s)
{
    check_files(c, s);
    check_user(c, s);
    check_platform(c, s);
}

/* ---- the application, in a child ---- */

/* What is learned in the child, as it comes through the pipe. */
struct learned {
    int status;
    double seconds;
    long rss_kb;
    int threads, sockets, polls; /* that the import made */
};

static long
resident_kb(void)
{
    long pages = 0, ignored;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &ignored, &pages) != 2) {
            pages = 0;
        }
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int
count_threads(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return n;
}

/* Descriptors whose target begins so: "socket:", "anon_inode:[eventpoll]". */
static int
count_open(const char *kind)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char target[64];
        ssize_t len =
            readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        n += strncmp(target, kind, strlen(kind)) == 0;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return n;
}

/* Runs in the child, whose standard error the parent reads. */
static void
learn(struct cg_settings *s, int (*load)(struct cg_settings *s), int fd)
{
    struct learned l = {.threads = -count_threads(),
                        .sockets = -count_open("socket:"),
                        .polls = -count_open("anon_inode:[eventpoll]"),
                        .rss_kb = -resident_kb()};
    uint64_t from = cg_now_us();
    l.status = load(s);
    l.seconds = (double)(cg_now_us() - from) / 1e6;
    l.rss_kb += resident_kb();
    l.threads += count_threads();
    l.sockets += count_open("socket:");
    l.polls += count_open("anon_inode:[eventpoll]");
    fflush(stdout);
    fflush(stderr);
    ssize_t n = write(fd, &l, sizeof l);
    _exit(n == (ssize_t)sizeof l ? 0 : 1);
}

static void
warn_of_forks(struct cg_check *c, const struct cg_settings *s,
              const struct learned *l)
{
    const struct {
        int n;
        const char *what, *why;
    } rows[] = {
        {l->threads, "thread", "threads do not live on in workers"},
        {l->sockets, "socket", "workers would all use the same connection"},
        {l->polls, "event loop", "workers would share its descriptor"}};
    for (size_t i = 0;
         cg_settings_bool(s, CG_preload_app) && i < CG_COUNT(rows); i++) {
        if (rows[i].n > 0) {
            cg_findings_warn(&c->found,
                             "preload_app: the import of the application made "
                             "%d %s%s: %s. Make them in post_fork, or when "
                             "first needed",
                             rows[i].n, rows[i].what, rows[i].n > 1 ? "s" : "",
                             rows[i].why);
        }
    }
}

/* Its warnings are findings, whatever else it printed is shown. */
static void
take_warnings(struct cg_check *c, struct cg_slice said)
{
    static const char mark[] = "Warning: ";
    while (said.n > 0) {
        const char *end = memchr(said.p, '\n', said.n);
        size_t n = end != NULL ? (size_t)(end - said.p) : said.n;
        if (n > sizeof mark - 1 && memcmp(said.p, mark, sizeof mark - 1) == 0) {
            cg_findings_warn(&c->found, "%.*s", (int)(n - (sizeof mark - 1)),
                             said.p + sizeof mark - 1);
        } else {
            fwrite(said.p, 1, n + (end != NULL), stderr);
        }
        said.p += n + (end != NULL);
        said.n -= n + (end != NULL);
    }
}

/* What the child said: an error's text when it failed, else it is passed on. */
static void
take_said(struct cg_check *c, int fd, bool failed)
{
    enum { SAID_MAX = 64 * 1024 };
    cg_auto(buf) struct cg_buf said = {0};
    char *to = cg_buf_reserve(&said, SAID_MAX);
    ssize_t n = pread(fd, to, SAID_MAX, 0);
    said.n = n > 0 ? (size_t)n : 0;
    if (!failed) {
        take_warnings(c, (struct cg_slice){said.p, said.n});
        return;
    }
    struct cg_slice text = cg_slice_trim((struct cg_slice){said.p, said.n});
    while (text.n > 0 && (text.p[0] == '\n' || text.p[0] == ' ')) {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && text.p[text.n - 1] == '\n') {
        text.n--;
    }
    if (text.n > 7 && memcmp(text.p, "Error: ", 7) == 0) {
        text.p += 7;
        text.n -= 7;
    }
    cg_auto(free) char *copy = cg_strndup(text.p, text.n);
    if (text.n > 0) {
        cg_findings_problem(&c->found, copy);
    }
}

static int
conclude(struct cg_check *c, const struct cg_settings *s,
         const struct learned *l, bool whole, int wait_status)
{
    if (!whole) {
        cg_auto(free) char *text =
            WIFSIGNALED(wait_status)
                ? cg_strf("the import of the application was ended by signal "
                          "%d (%s)",
                          WTERMSIG(wait_status),
                          strsignal(WTERMSIG(wait_status)))
                : cg_strf("the import of the application ended the process "
                          "with status %d",
                          WEXITSTATUS(wait_status));
        cg_findings_problem(&c->found, text);
        return EXIT_ERROR;
    }
    if (l->status == EXIT_GOOD) {
        c->imported = true;
        c->import_s = l->seconds;
        c->rss_kb = l->rss_kb;
        warn_of_forks(c, s, l);
    }
    return l->status;
}

int
cg_check_import(struct cg_check *c, struct cg_settings *s,
                int (*load)(struct cg_settings *s))
{
    int ends[2], wait_status = 0;
    struct learned l = {0};
    fflush(stdout);
    fflush(stderr);
    cg_auto(fd_close) int said = memfd_create("check", MFD_CLOEXEC);
    if (said < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        return load(s);
    }
    pid_t pid = cg_python_fork(NULL, NULL);
    if (pid == 0) {
        close(ends[0]);
        dup2(said, STDERR_FILENO);
        learn(s, load, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return load(s);
    }
    ssize_t n = read(ends[0], &l, sizeof l);
    close(ends[0]);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
    }
    bool whole = n == (ssize_t)sizeof l;
    take_said(c, said, !whole || l.status != EXIT_GOOD);
    return conclude(c, s, &l, whole, wait_status);
}

/* ---- the outcome ---- */

static void
put_json(const struct cg_check *c, int status)
{
    cg_auto(buf) struct cg_buf out = {0};
    struct cg_json j = {.out = &out};
    cg_json_open(&j, '{');
    cg_json_put_bool(&j, "ok", status == EXIT_GOOD);
    if (c->imported) {
        cg_json_key(&j, "import_s");
        cg_json_real(&j, c->import_s);
        cg_json_put_int(&j, "import_rss_bytes", (int64_t)c->rss_kb * 1024);
    }
    cg_json_key(&j, "findings");
    cg_json_open(&j, '[');
    for (size_t i = 0; i < c->found.n; i++) {
        cg_json_open(&j, '{');
        cg_json_put_text(&j, "level",
                         c->found.items[i].is_problem ? "error" : "warning");
        cg_json_put_text(&j, "text", c->found.items[i].text);
        cg_json_close(&j, '}');
    }
    cg_json_close(&j, ']');
    cg_json_close(&j, '}');
    printf("%s\n", cg_buf_str(&out));
}

static void
put_text(const struct cg_check *c, int status)
{
    for (size_t i = 0; i < c->found.n; i++) {
        fprintf(stderr, "%s: %s\n",
                c->found.items[i].is_problem ? "Error" : "Warning",
                c->found.items[i].text);
    }
    if (c->imported) {
        printf("The application was imported in %.2f s and takes %.1f MB.\n",
               c->import_s, (double)c->rss_kb / 1024);
    }
    if (status == EXIT_GOOD) {
        printf("%s\n", c->found.n > 0 ? "No error was found." : "Good.");
    }
}

int
cg_check_report(const struct cg_check *c, int status)
{
    if (status != EXIT_GOOD || c->found.problems > 0) {
        status = EXIT_ERROR;
    } else if (c->strict && c->found.n > 0) {
        status = EXIT_WARNED;
    }
    if (c->json) {
        put_json(c, status);
    } else {
        put_text(c, status);
    }
    return status;
}

void
cg_check_release(struct cg_check *c)
{
    cg_findings_release(&c->found);
}
