/* SPDX-License-Identifier: MIT */
#include "core/arbiter/companions.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/notify.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/base/title.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/companion.h"
#include "core/py/runtime/interp.h"
#include "core/py/runtime/trace.h"
#include "core/worker/privilege.h"

enum {
    LINE_MOST = 4096,        /* of what one says; a longer one is cut in two */
    READ_A_TURN = 64 * 1024, /* then the others have their turn */
    LOOK_MS = 100,           /* while the last ones end */
    HURRY_MS = 1000,         /* that a stop at once leaves them */
    EXIT_NO_PROGRAM = 127,   /* as shells have it */
    DIRTY_MOST = 1024        /* that operators can ask for */
};

static uint64_t
now_ms(void)
{
    return cg_now_us() / 1000;
}

/* ---- what the settings say ---- */

/* module:callable, without a blank; anything else is a command. */
static bool
is_callable(const char *what)
{
    const char *colon = strchr(what, ':');
    return colon != NULL && colon != what && strchr(what, '/') == NULL &&
           what[strcspn(what, " \t\"'")] == '\0';
}

/* The program that a command names, to be freed; NULL: there is none that we
 * may execute. */
static char *
find_program(const char *name)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/') != NULL) {
        return access(name, X_OK) == 0 ? cg_strdup(name) : NULL;
    }
    for (path = path != NULL ? path : "/usr/bin:/bin"; *path != '\0';) {
        size_t n = strcspn(path, ":");
        char *file = cg_strf("%.*s/%s", (int)n, path, name);
        if (n > 0 && access(file, X_OK) == 0) {
            return file;
        }
        free(file);
        path += n + (path[n] == ':');
    }
    return NULL;
}

static int
check_one(const char *name, const char *what, struct cg_error *err)
{
    struct cg_value words = cg_value_list();
    if (is_callable(what)) {
        return 0;
    }
    int r = cg_split_words(what, &words);
    cg_auto(free) char *program =
        r == 0 && words.list.n > 0 ? find_program(words.list.items[0].s) : NULL;
    if (r < 0) {
        r = cg_error_set(err, EINVAL,
                         "companions: %s: a quote is not closed in '%s'", name,
                         what);
    } else if (program == NULL) {
        r = cg_error_set(err, ENOENT,
                         "companions: %s: there is no program '%s' that can be "
                         "executed; install it, write its path, or name a "
                         "callable (module:callable)",
                         name, words.list.n > 0 ? words.list.items[0].s : "");
    }
    cg_value_release(&words);
    return r;
}

/* As gunicorn: module:Class, or module:Class:N. */
static int
check_dirty_app(const char *spec, struct cg_error *err)
{
    const char *name = strchr(spec, ':');
    const char *count = name != NULL ? strchr(name + 1, ':') : NULL;
    if (name == NULL || name == spec || name[1] == '\0' || name[1] == ':' ||
        (count != NULL && strchr(count + 1, ':') != NULL)) {
        return cg_error_set(err, EINVAL,
                            "dirty_apps: Invalid import path format: %s. "
                            "Expected 'module.path:ClassName' or "
                            "'module.path:ClassName:N'",
                            spec);
    }
    if (count == NULL) {
        return 0;
    }
    char *end = NULL;
    long n = strtol(count + 1, &end, 10);
    if (end == count + 1 || *end != '\0') {
        return cg_error_set(err, EINVAL,
                            "dirty_apps: Invalid worker count in spec: %s. "
                            "Expected integer, got '%s'",
                            spec, count + 1);
    }
    return n >= 1 ? 0
                  : cg_error_set(err, EINVAL,
                                 "dirty_apps: Invalid worker count in spec: "
                                 "%s. Worker count must be >= 1, got %ld",
                                 spec, n);
}

int
cg_companions_check(const struct cg_settings *s, struct cg_error *err)
{
    const struct cg_value *map = cg_settings_value(s, CG_companions);
    int r = 0;
    for (size_t i = 0; r == 0 && i + 1 < map->list.n; i += 2) {
        r = check_one(map->list.items[i].s, map->list.items[i + 1].s, err);
    }
    const struct cg_value *apps = cg_settings_value(s, CG_dirty_apps);
    for (size_t i = 0; r == 0 && i < apps->list.n; i++) {
        r = check_dirty_app(apps->list.items[i].s, err);
    }
    return r;
}

/* Dirty workers are kept in the same way, with the process between them and
 * those who call them. */
int
cg_companions_dirty_workers(const struct cg_arbiter *a)
{
    const struct cg_settings *s = a->settings;
    bool any = cg_settings_value(s, CG_dirty_apps)->list.n > 0;
    int n = any ? (int)cg_settings_int(s, CG_dirty_workers) : 0;
    return n > 0 ? n + a->companions.more_dirty : 0;
}

struct wish {
    char name[64];
    const char *what;
    enum cg_companion_kind kind;
};

/* The i-th process that the settings name; false: there are no more. */
static bool
get_wish(const struct cg_arbiter *a, int i, struct wish *ret)
{
    const struct cg_value *map = cg_settings_value(a->settings, CG_companions);
    int n = (int)(map->list.n / 2), dirty = cg_companions_dirty_workers(a);
    *ret = (struct wish){.kind = CG_COMPANION_USERS};
    if (i < n) {
        snprintf(ret->name, sizeof ret->name, "%s", map->list.items[2 * i].s);
        ret->what = map->list.items[2 * i + 1].s;
    } else if (i == n && dirty > 0) {
        snprintf(ret->name, sizeof ret->name, "dirty-arbiter");
        ret->what = "_cgunicorn_glue.dirty_broker:main";
        ret->kind = CG_COMPANION_DIRTY_ARBITER;
    } else {
        snprintf(ret->name, sizeof ret->name, "dirty-worker-%d", i - n);
        ret->what = "_cgunicorn_glue.dirty_worker:main";
        ret->kind = CG_COMPANION_DIRTY_WORKER;
        return dirty > 0 && i - n <= dirty;
    }
    return true;
}

static bool
find_wish(const struct cg_arbiter *a, const char *name, struct wish *ret)
{
    for (int i = 0; get_wish(a, i, ret); i++) {
        if (strcmp(ret->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static struct cg_companion *
find(const struct cg_arbiter *a, const char *name)
{
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        if (!c->life.dismissed && strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static void
add(struct cg_arbiter *a, const struct wish *w)
{
    struct cg_companions *all = &a->companions;
    all->items =
        cg_realloc(all->items, (size_t)(all->n + 1) * sizeof *all->items);
    all->items[all->n++] = (struct cg_companion){.name = cg_strdup(w->name),
                                                 .what = cg_strdup(w->what),
                                                 .kind = w->kind,
                                                 .out_fd = -1,
                                                 .trace_fd = -1};
}

/* A dirty worker has what is its own, and a moment to close its applications.
 */
static uint64_t
graceful_ms(const struct cg_arbiter *a, const struct cg_companion *c)
{
    uint64_t ms = 1000;
    return c->kind == CG_COMPANION_USERS
               ? a->plan.o.graceful_ms
               : ms + ms * (uint64_t)cg_settings_int(a->settings,
                                                     CG_dirty_graceful_timeout);
}

static void
stop(struct cg_arbiter *a, struct cg_companion *c, bool dismiss, uint64_t ms)
{
    if (cg_companion_stop(&c->life, dismiss, ms, now_ms())) {
        kill(c->pid, SIGTERM);
    }
}

/* Where the dirty arbiter's socket is, from the first one on: the workers that
 * are forked afterwards know it. Of the workers' user, and of nobody else. */
static void
make_dirty_folder(struct cg_arbiter *a)
{
    const char *tmp = getenv("TMPDIR");
    uid_t user = (uid_t)cg_settings_int(a->settings, CG_user);
    gid_t group = (gid_t)cg_settings_int(a->settings, CG_group);
    if (a->companions.folder != NULL || cg_companions_dirty_workers(a) == 0) {
        return;
    }
    char *folder = cg_strf("%s/gunicorn-dirty-XXXXXX",
                           tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL ||
        (geteuid() == 0 && chown(folder, user, group) < 0)) {
        cg_log_line(a->log, CG_ERROR,
                    "dirty_workers: there can be no folder '%s' for their "
                    "socket: %s (TMPDIR names another place)",
                    folder, strerror(errno));
        free(folder);
        return;
    }
    a->companions.folder = folder;
    cg_auto(free) char *path = cg_strf("%s/arbiter.sock", folder);
    cg_python_setenv("GUNICORN_DIRTY_SOCKET", path, NULL);
}

static void
remove_dirty_folder(struct cg_arbiter *a)
{
    if (a->companions.folder != NULL) {
        cg_auto(free) char *path =
            cg_strf("%s/arbiter.sock", a->companions.folder);
        unlink(path);
        rmdir(a->companions.folder);
        free(a->companions.folder);
        a->companions.folder = NULL;
    }
}

static void
add_missing(struct cg_arbiter *a)
{
    struct wish w;
    for (int i = 0; get_wish(a, i, &w); i++) {
        if (find(a, w.name) == NULL) {
            add(a, &w);
        }
    }
}

/* The dirty arbiter has no code of the application's, and calls that wait. */
void
cg_companions_follow(struct cg_arbiter *a)
{
    struct wish w;
    a->companions.more_dirty = 0;
    make_dirty_folder(a);
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        bool stays = find_wish(a, c->name, &w);
        if (stays && !c->life.dismissed) {
            free(c->what);
            c->what = cg_strdup(w.what);
        }
        if (!stays || c->kind != CG_COMPANION_DIRTY_ARBITER) {
            stop(a, c, !stays, graceful_ms(a, c));
        }
    }
    add_missing(a);
}

/* Those that run are not touched. */
static void
adapt(struct cg_arbiter *a)
{
    struct wish w;
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        if (!find_wish(a, c->name, &w)) {
            stop(a, c, true, graceful_ms(a, c));
        }
    }
    add_missing(a);
}

int
cg_companions_change_dirty(struct cg_arbiter *a, int by)
{
    int now = cg_companions_dirty_workers(a);
    int least = now > 0 ? 1 - now : 0; /* one stays */
    int most = now < DIRTY_MOST ? DIRTY_MOST - now : 0;
    by = by < least ? least : by > most ? most : by;
    a->companions.more_dirty += now > 0 ? by : 0;
    adapt(a);
    return cg_companions_dirty_workers(a);
}

/* One per server: while an old master is there it has them. Dirty workers are
 * each master's own, and there before the workers. */
static bool
may_start(const struct cg_arbiter *a, const struct cg_companion *c)
{
    if (c->kind != CG_COMPANION_USERS) {
        return a->plan.phase < PLAN_STOPPING && a->companions.folder != NULL;
    }
    return a->plan.serving && a->plan.parent_pid == 0 &&
           a->plan.phase < PLAN_STOPPING;
}

/* ---- what they say ---- */

/* Its own words, but they do not steer a terminal or make a line of ours. */
static void
put_plain(struct cg_buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\t' || (byte >= 0x20 && byte != 0x7f)) {
            cg_buf_putc(out, (char)byte);
        } else {
            cg_buf_putf(out, "\\x%02x", byte);
        }
    }
}

static void
log_line(struct cg_arbiter *a, struct cg_companion *c)
{
    cg_auto(buf) struct cg_buf text = {0};
    while (c->line.n > 0 && c->line.p[c->line.n - 1] == '\r') {
        c->line.n--;
    }
    put_plain(&text, c->line.p, c->line.n);
    if (text.n > 0) {
        cg_log_line(a->log, CG_INFO, "Companion %s: %s", c->name,
                    cg_buf_str(&text));
    }
    c->line.n = 0;
}

static void
take(struct cg_arbiter *a, struct cg_companion *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            log_line(a, c);
        } else {
            cg_buf_putc(&c->line, p[i]);
        }
        if (c->line.n >= LINE_MOST) {
            log_line(a, c);
        }
    }
}

/* What somebody it has left behind holds open does not keep us. */
static void
listen_to(struct cg_arbiter *a, struct cg_companion *c)
{
    char chunk[8192];
    for (size_t total = 0; c->out_fd >= 0 && total < READ_A_TURN;) {
        ssize_t n = read(c->out_fd, chunk, sizeof chunk);
        if (n > 0) {
            take(a, c, chunk, (size_t)n);
            total += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            if (n == 0) {
                log_line(a, c);
                cg_fd_close(&c->out_fd);
            }
            return;
        }
    }
}

/* ---- starting ---- */

static void
in_child(void *self)
{
    struct cg_arbiter *a = self;
    cg_signals_reset_in_child();
    signal(CG_TRACE_SIGNAL, SIG_IGN); /* until it has a handler */
    cg_fd_close(&a->alive_write);
    cg_fd_close(&a->start->ready_fd);
    cg_arbiter_let_go(a);
    cg_sockets_close(&a->sockets, NULL, false);
}

static void
set_stdio(int out_fd)
{
    cg_auto(fd_close) int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null_fd, STDIN_FILENO);
    dup2(out_fd, STDOUT_FILENO);
    dup2(out_fd, STDERR_FILENO);
}

/* A group of its own: a terminal's Ctrl-C is the master's to hear, and what it
 * has started can be ended with it. The privileges before the wish to end with
 * the master, which a change of user clears. */
static int
become(const struct cg_arbiter *a, struct cg_error *err)
{
    setpgid(0, 0);
    int r = cg_privilege_drop(a->settings, err);
    if (r == 0) {
        r = cg_privilege_bind(a->settings, err);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (r == 0 && getppid() != a->master_pid) {
        r = cg_error_set(err, ESRCH, "the master is gone");
    }
    return r;
}

/* Python ignores these two for itself; what is executed would inherit it. */
static void
restore_signals(void)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    signal(CG_TRACE_SIGNAL, SIG_DFL);
}

static int
execute(const struct cg_companion *c)
{
    struct cg_value words = cg_value_list();
    cg_split_words(c->what, &words);
    char **argv = cg_calloc(words.list.n + 1, sizeof *argv);
    for (size_t i = 0; i < words.list.n; i++) {
        argv[i] = words.list.items[i].s;
    }
    cg_auto(free) char *program =
        argv[0] != NULL ? find_program(argv[0]) : NULL;
    restore_signals();
    execv(program != NULL ? program : "", argv);
    fprintf(stderr, "'%s' cannot be executed: %s\n",
            argv[0] != NULL ? argv[0] : "", strerror(errno));
    free(argv);
    cg_value_release(&words);
    return EXIT_NO_PROGRAM;
}

static int
call(const struct cg_companion *c)
{
    struct cg_error err = {0};
    if (c->trace_fd >= 0) {
        cg_py_trace_start(c->trace_fd, CG_TRACE_SIGNAL, &err);
    }
    int status = cg_py_companion_run(c->what);
    int finish = cg_python_finish();
    return status != 0 ? status : finish;
}

static _Noreturn void
run_child(struct cg_arbiter *a, struct cg_companion *c, int out_fd)
{
    struct cg_error err = {0};
    set_stdio(out_fd);
    if (become(a, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    cg_python_setenv("CGUNICORN_COMPANION", c->name, NULL);
    cg_auto(free) char *role = cg_strf("companion %s", c->name);
    cg_arbiter_set_title(a, c->kind == CG_COMPANION_USERS ? role
                            : c->kind == CG_COMPANION_DIRTY_ARBITER
                                ? "dirty-arbiter"
                                : "dirty-worker");
    _exit(is_callable(c->what) ? call(c) : execute(c));
}

static int
open_output(int *ret_write)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    if (cg_fd_set_nonblock(fds[0]) < 0) {
        close(fds[0]);
        close(fds[1]);
        return -EIO;
    }
    *ret_write = fds[1];
    return fds[0];
}

static void
start(struct cg_arbiter *a, struct cg_companion *c)
{
    cg_auto(fd_close) int out_fd = -1;
    uint64_t now = now_ms();
    cg_fd_close(&c->out_fd); /* of the last one, if somebody holds it open */
    c->line.n = 0;
    c->out_fd = open_output(&out_fd);
    c->trace_fd = is_callable(c->what)
                      ? memfd_create("cgunicorn-trace", MFD_CLOEXEC)
                      : -1;
    pid_t pid = c->out_fd >= 0 ? cg_python_fork(in_child, a) : c->out_fd;
    if (pid == 0) {
        run_child(a, c, out_fd);
    }
    if (pid < 0) {
        cg_fd_close(&c->out_fd);
        cg_fd_close(&c->trace_fd);
        uint64_t ms = cg_companion_ended(&c->life, now);
        cg_log_line(a->log, CG_ERROR,
                    "Companion %s: cannot fork: %s (a limit on processes or "
                    "memory?); trying again in %" PRIu64 " s",
                    c->name, strerror((int)-pid), ms / 1000);
        return;
    }
    c->pid = (int)pid;
    cg_companion_started(&c->life, now);
    cg_log_line(a->log, CG_INFO, "Companion %s started (pid:%d): %s", c->name,
                c->pid, c->what);
}

/* ---- ends ---- */

static void
say_end(struct cg_arbiter *a, const struct cg_companion *c, int status,
        bool told, uint64_t pause)
{
    char how[80], then[60] = "";
    if (WIFSIGNALED(status)) {
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    } else {
        snprintf(how, sizeof how, "exited with status %d", WEXITSTATUS(status));
    }
    if (!told && !c->life.dismissed) {
        snprintf(then, sizeof then,
                 "; the next one is started in %" PRIu64 " s", pause / 1000);
    }
    cg_log_line(a->log, told ? CG_INFO : CG_WARNING,
                "Companion %s (pid:%d) %s%s", c->name, c->pid, how, then);
    if (!told) {
        cg_events_add(&a->events, CG_HAPPENED_TROUBLE, c->pid,
                      "Companion %s %s", c->name, how);
    }
}

/* What it has started ends with it, or there would be two. */
static void
bury(struct cg_arbiter *a, struct cg_companion *c, int status)
{
    bool told = c->life.state == COMPANION_STOPPING;
    kill(-c->pid, SIGKILL);
    listen_to(a, c);
    log_line(a, c);
    uint64_t pause = cg_companion_ended(&c->life, now_ms());
    say_end(a, c, status, told, pause);
    cg_fd_close(&c->out_fd);
    cg_fd_close(&c->trace_fd);
    c->pid = 0;
}

static void
reap(struct cg_arbiter *a, struct cg_companion *c)
{
    int status = 0;
    if (c->pid == 0) {
        return;
    }
    pid_t r = waitpid(c->pid, &status, WNOHANG);
    if (r == c->pid || (r < 0 && errno == ECHILD)) {
        bury(a, c, r == c->pid ? status : 0);
    }
}

static void
release(struct cg_companion *c)
{
    cg_fd_close(&c->out_fd);
    cg_fd_close(&c->trace_fd);
    cg_buf_release(&c->line);
    free(c->name);
    free(c->what);
}

/* ---- the loop ---- */

static void
carry_out(struct cg_arbiter *a, struct cg_companion *c)
{
    switch (cg_companion_due(&c->life, may_start(a, c), now_ms())) {
    case COMPANION_NOTHING: break;
    case COMPANION_START: start(a, c); break;
    case COMPANION_KILL:
        cg_log_line(a->log, CG_WARNING,
                    "Companion %s (pid:%d) did not stop in time: KILL", c->name,
                    c->pid);
        kill(-c->pid, SIGKILL);
        break;
    }
}

void
cg_companions_turn(struct cg_arbiter *a)
{
    struct cg_companions *all = &a->companions;
    for (int i = 0; i < all->n; i++) {
        struct cg_companion *c = &all->items[i];
        listen_to(a, c);
        reap(a, c);
        carry_out(a, c);
    }
    for (int i = all->n - 1; i >= 0; i--) {
        if (all->items[i].life.state == COMPANION_GONE) {
            release(&all->items[i]);
            memmove(&all->items[i], &all->items[i + 1],
                    (size_t)(--all->n - i) * sizeof *all->items);
        }
    }
}

int
cg_companions_watch(const struct cg_arbiter *a, struct pollfd *p, int *ms)
{
    int n = 0;
    for (int i = 0; i < a->companions.n; i++) {
        const struct cg_companion *c = &a->companions.items[i];
        int due = cg_companion_patience(&c->life, may_start(a, c), now_ms());
        *ms = due >= 0 && due < *ms ? due : *ms;
        if (c->out_fd >= 0) {
            p[n++] = (struct pollfd){.fd = c->out_fd, .events = POLLIN};
        }
    }
    return n;
}

/* INT, QUIT or a second TERM: who waits for the last ones has no more time. */
static void
heed_signals(struct cg_arbiter *a)
{
    int sig;
    while ((sig = cg_signals_next()) != 0) {
        for (int i = 0; sig != SIGCHLD && i < a->companions.n; i++) {
            stop(a, &a->companions.items[i], true, HURRY_MS);
        }
    }
}

static void
wait_a_moment(struct cg_arbiter *a)
{
    struct pollfd *p = cg_calloc((size_t)a->companions.n + 1, sizeof *p);
    int ms = LOOK_MS;
    p[0] = (struct pollfd){.fd = a->signal_fd, .events = POLLIN};
    int n = 1 + cg_companions_watch(a, p + 1, &ms);
    cg_gil_drop();
    poll(p, (nfds_t)n, ms);
    cg_gil_take();
    free(p);
}

void
cg_companions_end(struct cg_arbiter *a)
{
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        stop(a, c, true, graceful_ms(a, c));
    }
    for (cg_companions_turn(a); a->companions.n > 0; cg_companions_turn(a)) {
        wait_a_moment(a);
        heed_signals(a);
        if (a->watchdog_ms != 0) {
            cg_notify("WATCHDOG=1");
        }
    }
}

void
cg_companions_free(struct cg_arbiter *a)
{
    for (int i = 0; i < a->companions.n; i++) {
        release(&a->companions.items[i]);
    }
    free(a->companions.items);
    remove_dirty_folder(a);
    a->companions = (struct cg_companions){0};
}

/* ---- for operators ---- */

void
cg_companions_put(const struct cg_arbiter *a, struct cg_json *j)
{
    uint64_t now = now_ms();
    cg_json_key(j, "companions");
    cg_json_open(j, '[');
    for (int i = 0; i < a->companions.n; i++) {
        const struct cg_companion *c = &a->companions.items[i];
        struct cg_process_costs costs = {0};
        if (c->pid != 0) {
            costs = cg_process_costs(c->pid);
        }
        cg_json_open(j, '{');
        cg_json_put_text(j, "name", c->name);
        cg_json_put_text(j, "runs", c->what);
        cg_json_put_int(j, "pid", c->pid);
        cg_json_put_text(j, "state", cg_companion_word(c->life.state));
        cg_json_put_seconds(j, "age_s",
                            c->pid != 0 ? (now - c->life.born_ms) * 1000 : 0);
        cg_json_put_int(j, "starts", c->life.starts);
        cg_json_put_int(j, "rss_bytes", (int64_t)costs.rss_bytes);
        cg_json_put_seconds(j, "cpu_s", costs.cpu_us);
        cg_json_close(j, '}');
    }
    cg_json_close(j, ']');
}

int
cg_companion_traced(const struct cg_arbiter *a, int i, int *ret_fd,
                    const char **ret_name)
{
    const struct cg_companion *c = &a->companions.items[i];
    *ret_fd = c->trace_fd;
    *ret_name = c->name;
    return c->trace_fd >= 0 ? c->pid : -1;
}

bool
cg_companion_is(const struct cg_arbiter *a, int pid)
{
    for (int i = 0; i < a->companions.n; i++) {
        if (pid > 0 && a->companions.items[i].pid == pid) {
            return true;
        }
    }
    return false;
}
