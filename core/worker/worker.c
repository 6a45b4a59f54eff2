/* SPDX-License-Identifier: MIT */
#include "core/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/compat/python_worker.h"
#include "core/py/compat/written.h"
#include "core/py/loops/host_loop.h"
#include "core/py/runtime/interp.h"
#include "core/py/runtime/trace.h"
#include "core/worker/class.h"
#include "core/worker/folders.h"
#include "core/worker/host.h"
#include "core/worker/privilege.h"
#include "core/worker/reload/reloader.h"
#include "core/worker/warmup.h"
#include "core/worker/wsgi_host.h"

enum { EXIT_STOPPED = 0 };

/* ---- signals ---- */

/* The master sends USR1 to all its workers, those that boot included. */
static volatile sig_atomic_t usr1_came;

static void
on_early_usr1(int sig)
{
    usr1_came = 1;
}

/* By default it would leave a core file. */
static void
on_early_quit(int sig)
{
    _exit(EXIT_STOPPED);
}

void
cg_worker_early_signals(void)
{
    struct sigaction sa = {.sa_handler = on_early_usr1, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    usr1_came = 0;
    sigaction(SIGUSR1, &sa, NULL);
    sa.sa_handler = on_early_quit;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGQUIT, &sa, NULL);
}

/* ---- what `worker` and its signal handlers ask for ---- */

static void
stop(void *self)
{
    struct cg_host_run *run = self;
    run->stop_wanted = 1;
    if (run->engine != NULL) {
        cg_engine_stop(run->engine, run->graceful_us);
    }
}

static void
quit(void *self)
{
    struct cg_host_run *run = self;
    run->abort_wanted = 1;
    if (run->engine != NULL) {
        cg_engine_abort(run->engine);
    }
}

static uint64_t
count_requests(void *self)
{
    const struct cg_host_run *run = self;
    return run->wsgi != NULL ? cg_engine_requests(run->wsgi->engine) : 0;
}

static void
limit_requests(void *self, uint64_t count)
{
    struct cg_host_run *run = self;
    if (run->wsgi != NULL) {
        cg_engine_limit_requests(run->wsgi->engine, count);
    }
}

static void
set_app(void *self, struct _object *callable)
{
    struct cg_host_run *run = self;
    if (run->wsgi != NULL) {
        cg_wsgi_set_app(run->wsgi->wsgi, callable);
    }
}

static int
init_signals(struct cg_host_run *run, int write_fd, struct cg_error *err)
{
    const struct cg_worker_calls calls = {
        .stop = stop,
        .quit = quit,
        .requests = count_requests,
        .limit_requests = limit_requests,
        .set_app = set_app,
        .self = run,
    };
    return cg_py_worker_init_signals(run->start->worker, &calls, write_fd, err);
}

/* ---- boot ---- */

void
cg_worker_tell(const struct cg_worker_start *start, enum cg_news_kind kind,
               const char *text)
{
    struct cg_worker_news news = {.kind = kind};
    if (start->news_fd < 0) {
        return;
    }
    memcpy(news.text, text, strnlen(text, sizeof news.text - 1));
    ssize_t ignored = write(start->news_fd, &news, sizeof news);
    (void)ignored;
}

bool
cg_worker_retire(struct cg_host_run *run)
{
    if (atomic_exchange(&run->retiring, 1) || run->stop_wanted) {
        return false;
    }
    cg_log_line(run->start->log, CG_INFO,
                "Autorestarting worker after current request.");
    cg_worker_tell(run->start, CG_NEWS_RETIRE, "");
    return true;
}

static void
log_failure(const struct cg_worker_start *start, const char *what,
            const struct cg_error *err)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_putf(&text, "%s: %s", what, err->text);
    cg_worker_tell(start, CG_NEWS_FAILED, err->text);
    cg_log_exception(start->log, (struct cg_slice){text.p, text.n});
}

/* What the settings left open. */
static int
choose_class(struct cg_host_run *run, struct cg_error *err)
{
    const struct cg_worker_start *start = run->start;
    if (run->class->run != NULL) {
        return 0;
    }
    run->class = cg_worker_class_for(start->settings, cg_app_is_asgi(run->app));
    return run->class->module != NULL
               ? cg_py_loop_prepare(run->class->module, start->worker, err)
               : 0;
}

/* That the class can run the application: an exit status, or 0. */
static int
check_kind(struct cg_host_run *run)
{
    struct cg_error err = {0};
    if (choose_class(run, &err) < 0) {
        log_failure(run->start, "Exception in worker process", &err);
        return CG_EXIT_BOOT;
    }
    if (cg_app_check_kind(run->app, run->class->asgi, &err) == 0) {
        return 0;
    }
    cg_worker_tell(run->start, CG_NEWS_FAILED, err.text);
    cg_log_line(run->start->log, CG_ERROR, "%s", err.text);
    return CG_EXIT_APP;
}

/* While it is developed, a page with what is wrong takes the place of an
 * application that cannot be loaded; a change of it makes another try. */
static bool
stand_in(struct cg_host_run *run, struct cg_slice text)
{
    if (cg_settings_bool(run->start->settings, CG_reload)) {
        run->app = cg_app_fault(text);
    }
    return run->app != NULL;
}

/* An extension that does not say that it can do without the GIL has it turned
 * on for the whole process. */
static void
tell_gil(const struct cg_worker_start *start)
{
    cg_auto(buf) struct cg_buf names = {0};
    if (!cg_python_gil_is_on()) {
        return;
    }
    cg_python_gil_names(&names);
    cg_log_line(start->log, CG_WARNING,
                "The application turned the GIL on (pid:%d), by importing an "
                "extension that has not said that it can do without: %s",
                (int)getpid(),
                names.n > 0 ? cg_buf_str(&names) : "(not known which)");
}

static int
load_app(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    cg_auto(buf) struct cg_buf traceback = {0};
    struct cg_error err = {0};
    bool had_gil = cg_python_gil_is_on();
    int status = cg_py_worker_load(start->worker, &run->app, &err, &traceback);
    if (run->abort_wanted) { /* INT or QUIT ended it */
        return 0;
    }
    if (status == 0) {
        if (!had_gil) {
            tell_gil(start);
        }
        return check_kind(run);
    }
    cg_worker_tell(start, CG_NEWS_FAILED, err.text);
    cg_auto(buf) struct cg_buf text = {0};
    if (status == CG_EXIT_BOOT) {
        cg_buf_puts(&text, "Exception in worker process\n");
        cg_error_put_traceback(
            &text, (struct cg_slice){traceback.p, traceback.n}, err.text);
    } else {
        cg_buf_puts(&text, err.text);
    }
    cg_log_text(start->log, CG_ERROR, (struct cg_slice){text.p, text.n});
    return stand_in(run, (struct cg_slice){text.p, text.n}) ? check_kind(run)
                                                            : status;
}

/* 0, or an exit status. */
static int
hook_worker(struct cg_host_run *run, enum cg_setting_id hook, const char *what)
{
    const struct cg_worker_start *start = run->start;
    struct cg_error err = {0};
    if (!cg_hook_is_set(start->settings, hook)) {
        return 0;
    }
    int r =
        hook == CG_post_worker_init
            ? cg_hook_worker(start->server, hook, start->worker, &err)
            : cg_hook_server_worker(start->server, hook, start->worker, &err);
    if (r == 0 || run->abort_wanted) { /* INT or QUIT ended it */
        return 0;
    }
    if (r == CG_HOOK_EXIT) {
        run->abort_wanted = 1; /* also with the status 0 */
        return err.code;
    }
    log_failure(start, what, &err);
    return CG_EXIT_BOOT;
}

/* Before the application is there: the less memory it shares, the less is
 * copied when we write. */
static void
start_keeper(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    struct cg_error err = {0};
    if (start->handover == NULL ||
        !cg_settings_bool(start->settings, CG_connection_keeper)) {
        return;
    }
    if (cg_keeper_start(&run->keeper, start->handover, start->name,
                        start->keeper_parent, &err) < 0) {
        cg_log_line(start->log, CG_WARNING,
                    "connection_keeper: %s; if this worker is killed, its idle "
                    "connections are reset",
                    err.text);
    }
    atomic_store(&start->slot->keeper, (int32_t)run->keeper.pid);
}

/* The master has seen that it is gone, and wakes us. */
static volatile sig_atomic_t keeper_is_missed;
static int keeper_wakeup_fd = -1;

static void
on_keeper_signal(int sig)
{
    int saved = errno;
    keeper_is_missed = 1;
    ssize_t ignored = write(keeper_wakeup_fd, "", 1);
    (void)ignored;
    errno = saved;
}

static void
heed_keeper(int wakeup_write_fd)
{
    struct sigaction sa = {.sa_handler = on_keeper_signal,
                           .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    keeper_wakeup_fd = wakeup_write_fd;
    sigaction(CG_KEEPER_SIGNAL, &sa, NULL);
}

void
cg_worker_replace_keeper(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    struct cg_error err = {0};
    if (!keeper_is_missed) {
        return;
    }
    keeper_is_missed = 0;
    if (!cg_keeper_is_dead(&run->keeper)) {
        return;
    }
    int old = (int)run->keeper.pid;
    if (cg_keeper_replace(&run->keeper, start->handover, start->name,
                          start->keeper_parent, &err) < 0) {
        cg_log_line(start->log, CG_WARNING, "connection_keeper: %s", err.text);
    } else {
        cg_log_line(start->log, CG_DEBUG,
                    "The keeper of this worker (pid:%d) was killed: another "
                    "one (pid:%d) has its place",
                    old, (int)run->keeper.pid);
    }
    atomic_store(&start->slot->keeper, (int32_t)run->keeper.pid);
}

/* ---- certificates ---- */

static _Atomic int security_is_old;

static void
on_files_changed(void *self)
{
    atomic_store(&security_is_old, 1);
    ssize_t ignored = write(keeper_wakeup_fd, "", 1);
    (void)ignored;
}

void
cg_worker_renew_security(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    struct cg_error err = {0};
    if (start->security == NULL || !atomic_exchange(&security_is_old, 0)) {
        return;
    }
    if (cg_security_renew(start->security, start->settings, &err) < 0) {
        cg_log_line(start->log, CG_ERROR,
                    "The certificates have changed, and this worker keeps the "
                    "old ones: %s. When they are complete, and only root can "
                    "read them: kill -HUP %d",
                    err.text, (int)start->master_pid);
    } else {
        cg_log_line(start->log, CG_INFO,
                    "The certificates have changed: new "
                    "connections get the new ones");
    }
}

/* The first of the user's hooks. Then stacks, before anybody's handlers: it
 * takes ABRT too. An exit status, or 0. */
static int
begin(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    struct cg_error err = {0};
    int status = hook_worker(run, CG_post_fork,
                             "Exception in worker process\npost_fork");
    cg_py_settings_follow(start->server, start->settings, start->log);
    if (status == 0 && cg_settings_bool(start->settings, CG_spew) &&
        cg_app_spew(&err) < 0) {
        cg_log_line(start->log, CG_ERROR, "spew: %s", err.text);
    }
    if (status == 0 && !run->abort_wanted && start->trace_fd >= 0 &&
        cg_py_trace_start(start->trace_fd, CG_TRACE_SIGNAL, &err) < 0) {
        cg_log_line(start->log, CG_DEBUG, "no stacks of this worker: %s",
                    err.text);
    }
    return status;
}

/* From here on it ends with the master; true: that is gone already. A change
 * of user clears it, so only after that. */
static bool
is_orphan(const struct cg_worker_start *start)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return getppid() != start->master_pid;
}

/* With the rights of its user: what a worker finds out when it serves would
 * end one after the other, here it ends the start. */
static int
check_folders(const struct cg_settings *settings, struct cg_error *err)
{
    struct cg_files *files = NULL;
    int r = cg_folders_open(settings, &files, err);
    cg_folders_close(files);
    return r;
}

/* Everything up to serving; an exit status, or 0. */
static int
boot(struct cg_host_run *run, int wakeup_write_fd)
{
    const struct cg_worker_start *start = run->start;
    struct cg_error err = {0};
    int status = begin(run);
    if (status != 0 || run->abort_wanted) {
        return status;
    }
    run->class = cg_worker_class_of(start->settings);
    if (cg_privilege_drop(start->settings, &err) < 0 ||
        cg_privilege_bind(start->settings, &err) < 0 ||
        check_folders(start->settings, &err) < 0 ||
        (run->class->module != NULL &&
         cg_py_loop_prepare(run->class->module, start->worker, &err) < 0) ||
        init_signals(run, wakeup_write_fd, &err) < 0) {
        if (run->abort_wanted) { /* TERM, INT or QUIT ended it */
            return EXIT_STOPPED;
        }
        log_failure(start, "Exception in worker process", &err);
        return CG_EXIT_BOOT;
    }
    if (usr1_came) {
        cg_py_server_reopen_logs(run->start->server);
    }
    if (is_orphan(start)) {
        return EXIT_STOPPED;
    }
    heed_keeper(wakeup_write_fd);
    if (start->security != NULL) {
        cg_security_watch(start->security, start->settings, on_files_changed,
                          run);
    }
    start_keeper(run);
    status = load_app(run);
    if (status != 0 || run->abort_wanted) {
        return status;
    }
    if (cg_settings_bool(start->settings, CG_reload)) {
        cg_reloader_start(run);
    }
    status = hook_worker(run, CG_post_worker_init,
                         "Exception in worker process\npost_worker_init");
    if (status == 0) {
        cg_py_worker_take_app(start->worker, run->app);
        if (cg_settings_bool(start->settings, CG_dev)) {
            cg_app_show_faults(run->app, run->class->asgi);
        }
        cg_py_settings_follow(start->server, start->settings, start->log);
        cg_py_worker_set_booted(start->worker);
    }
    return status;
}

/* ---- life ---- */

static int
serve(struct cg_host_run *run)
{
    struct cg_error err = {0};
    if (run->abort_wanted || !cg_py_worker_alive(run->start->worker)) {
        return EXIT_STOPPED;
    }
    if (run->class->run(run, &err) < 0) {
        if (run->abort_wanted) { /* TERM, INT or QUIT ended it in mid-start */
            return EXIT_STOPPED;
        }
        log_failure(run->start, "Exception in worker process", &err);
        return CG_EXIT_CRASHED;
    }
    return run->exit_status;
}

/* The exit status, if worker_exit says another one. */
static int
say_goodbye(const struct cg_worker_start *start, int status)
{
    struct cg_error err = {0};
    cg_py_worker_set_ending(start->worker);
    cg_worker_tell(start, CG_NEWS_OVER, "");
    cg_log_line(start->log, CG_INFO, "Worker exiting (pid: %d)", (int)getpid());
    int r = cg_hook_is_set(start->settings, CG_worker_exit)
                ? cg_hook_server_worker(start->server, CG_worker_exit,
                                        start->worker, &err)
                : 0;
    if (r == CG_HOOK_EXIT) {
        return err.code;
    }
    if (r < 0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_buf_putf(&text, "Exception during worker exit:\n%s", err.text);
        cg_log_text(start->log, CG_WARNING, (struct cg_slice){text.p, text.n});
    }
    return status;
}

/* LeakSanitizer, if it is there, looks at exit(3), which workers do not reach:
 * they would flush the master's buffers. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int
finish_python(struct cg_host_run *run)
{
    cg_app_free(run->app);
    int status = cg_python_finish();
    if (__lsan_do_recoverable_leak_check != NULL) {
        __lsan_do_recoverable_leak_check();
    }
    return status;
}

/* From the end of serving to the last line. */
static int
end(struct cg_host_run *run, int status)
{
    const struct cg_worker_start *start = run->start;
    cg_reloader_stop(run);
    cg_py_worker_over(start->worker);
    cg_slot_end(start->slot, cg_now_us());
    status = say_goodbye(start, status);
    cg_log_drain(start->log);
    if (!run->leave_at_once) { /* else there may still be connections */
        cg_keeper_end(&run->keeper);
    }
    int finish = run->leave_at_once ? 0 : finish_python(run);
    return status != 0 ? status : finish;
}

/* From the pipe for wake-ups to the last line. */
static int
live(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    cg_auto(fd_close) int read_fd = -1;
    cg_auto(fd_close) int write_fd = -1;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        cg_log_line(start->log, CG_ERROR, "cannot make a pipe: %s",
                    strerror(errno));
        return CG_EXIT_BOOT;
    }
    read_fd = fds[0];
    write_fd = fds[1];
    run->wakeup_fd = read_fd;
    int status = boot(run, write_fd);
    if (status == 0) {
        status = serve(run);
    }
    return end(run, status);
}

/* ---- a class written in Python ---- */

static void
on_python_ready(void *self)
{
    const struct cg_worker_start *start = self;
    cg_slot_flight(start->slot, 0); /* for its count */
    atomic_store(&start->slot->state, CG_WORKER_IDLE);
    atomic_store(&start->slot->booted, 1);
    cg_worker_tell(start, CG_NEWS_READY, "");
}

static void
on_python_counted(void *self, uint64_t requests)
{
    const struct cg_worker_start *start = self;
    atomic_store_explicit(&start->slot->flight[0].requests, requests,
                          memory_order_relaxed);
}

static void
on_python_failed(void *self, const char *text)
{
    cg_worker_tell(self, CG_NEWS_FAILED, text);
}

/* It loads the application, takes signals and serves by itself. */
static int
serve_python(struct cg_host_run *run)
{
    const struct cg_worker_start *start = run->start;
    const struct cg_python_worker_calls calls = {
        .ready = on_python_ready,
        .failed = on_python_failed,
        .counted = on_python_counted,
        .self = (void *)(uintptr_t)start,
    };
    struct cg_error err = {0};
    int status = begin(run);
    if (status != 0 || run->abort_wanted) {
        return status;
    }
    if (cg_privilege_drop(start->settings, &err) < 0 ||
        cg_privilege_bind(start->settings, &err) < 0) {
        log_failure(start, "Exception in worker process", &err);
        return CG_EXIT_BOOT;
    }
    if (usr1_came) {
        cg_py_server_reopen_logs(start->server);
    }
    cg_warmup_say_none(run);
    return is_orphan(start)
               ? EXIT_STOPPED
               : cg_python_worker_run(start->server, start->worker, &calls);
}

/*
 * What a worker is, on the heap: signal handlers and the engine reach it from
 * greenlets. A hub that the configuration made in the master is not as deep in
 * the C stack as our caller's frames, so a switch to it puts them aside.
 */
struct worker {
    struct cg_worker_start start;
    struct cg_handover handover;
    struct cg_host_run run;
};

static struct worker *
new_worker(const struct cg_worker_start *start)
{
    struct worker *w = cg_calloc(1, sizeof *w);
    w->start = *start;
    w->run = (struct cg_host_run){
        .start = &w->start, .wakeup_fd = -1, .keeper = CG_KEEPER_NONE};
    if (start->handover != NULL) {
        w->handover = *start->handover;
        w->start.handover = &w->handover;
    }
    return w;
}

/* ---- what the master sees and asks ---- */

static pthread_mutex_t witness_lock = PTHREAD_MUTEX_INITIALIZER;

static void
on_error(void *self, enum cg_level level, struct cg_slice text)
{
    pthread_mutex_lock(&witness_lock);
    cg_slot_tell_error(self, text.p, text.n, cg_now_us());
    pthread_mutex_unlock(&witness_lock);
}

/* Ignored, but not by the programs that it starts. */
static void
on_waiting(int sig)
{
}

static void
open_to_master(const struct cg_worker_start *start)
{
    struct sigaction sa = {.sa_handler = on_waiting, .sa_flags = SA_RESTART};
    sigaction(CG_WAITING_SIGNAL, &sa, NULL);
    cg_log_set_witness(
        start->log, (struct cg_log_witness){CG_ERROR, on_error, start->slot});
}

int
cg_worker_main(const struct cg_worker_start *start)
{
    struct worker *w = new_worker(start);
    int pid = (int)getpid();
    atomic_store(&start->slot->pid, pid);
    cg_py_worker_set_pid(start->worker, pid);
    open_to_master(start);
    cg_log_line(start->log, CG_INFO, "Booting worker with pid: %d", pid);
    cg_py_loop_forked();
    cg_memory_settle();
    int status = cg_worker_class_is_python(w->start.settings)
                     ? end(&w->run, serve_python(&w->run))
                     : live(&w->run);
    free(w);
    return status;
}
