/* SPDX-License-Identifier: MIT */
/*
 * gunicorn's control commands, as `gunicornc` gives them: the words are
 * gunicorn's, and so are the keys and the texts of the answers. Each answers at
 * once. An order is told in the log, as those of `cgunicorn` are.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/share/dirty_page.h"
#include "core/worker/class.h"

struct request {
    struct cg_arbiter *a;
    const struct cg_value *words; /* strings, of a list */
    struct cg_json *data;
    struct cg_error *err;
};

static const char *
word(const struct request *r, size_t i)
{
    return i < r->words->list.n ? r->words->list.items[i].s : NULL;
}

/* ---- workers ---- */

static void
put_beat(uint64_t silent_us, struct cg_json *j)
{
    cg_json_key(j, "last_heartbeat");
    cg_json_real(j, (double)(silent_us / 10000) / 100);
}

static void
put_worker(const struct cg_arbiter *a, const struct cg_child *c, bool of_all,
           struct cg_json *j)
{
    const struct cg_plan_worker *w = cg_plan_worker(&a->plan, c->pid);
    struct cg_slot_look look = cg_slot_look(c->slot);
    cg_json_open(j, '{');
    cg_json_put_int(j, "pid", c->pid);
    if (of_all) {
        cg_json_put_text(j, "type", "web");
    }
    cg_json_put_int(j, "age", w != NULL ? (int64_t)w->age : 0);
    cg_json_put_bool(j, "booted", w != NULL && w->state != ROSTER_BOOTING);
    if (!of_all) {
        cg_json_put_bool(j, "aborted", w != NULL && w->aborted_ms != 0);
    }
    put_beat(cg_slot_silent_us(&look, cg_now_us()), j);
    cg_json_close(j, '}');
}

struct aged {
    uint32_t age; /* 0: the plan has done with it */
    const struct cg_child *child;
};

static int
by_age(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;
    return (x->age > y->age) - (x->age < y->age);
}

static void
put_workers(const struct request *r, const char *key, bool of_all)
{
    size_t n = (size_t)r->a->nchildren;
    cg_auto(free) struct aged *all = cg_calloc(n + 1, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        const struct cg_child *c = &r->a->children[i];
        const struct cg_plan_worker *w = cg_plan_worker(&r->a->plan, c->pid);
        all[i] = (struct aged){w != NULL ? w->age : 0, c};
    }
    qsort(all, n, sizeof *all, by_age);
    cg_json_key(r->data, key);
    cg_json_open(r->data, '[');
    for (size_t i = 0; i < n; i++) {
        put_worker(r->a, all[i].child, of_all, r->data);
    }
    cg_json_close(r->data, ']');
}

static int
show_workers(const struct request *r)
{
    cg_json_open(r->data, '{');
    put_workers(r, "workers", false);
    cg_json_put_int(r->data, "count", r->a->nchildren);
    cg_json_close(r->data, '}');
    return 0;
}

/* ---- dirty workers ---- */

static int
dirty_arbiter_pid(const struct cg_arbiter *a)
{
    for (int i = 0; i < a->companions.n; i++) {
        const struct cg_companion *c = &a->companions.items[i];
        if (c->kind == CG_COMPANION_DIRTY_ARBITER && !c->life.dismissed) {
            return c->pid;
        }
    }
    return 0;
}

static int
put_dirty_workers(const struct cg_arbiter *a, const char *key,
                  struct cg_json *j)
{
    int n = 0;
    cg_json_key(j, key);
    cg_json_open(j, '[');
    for (int i = 0; i < a->companions.n; i++) {
        const struct cg_companion *c = &a->companions.items[i];
        if (c->kind != CG_COMPANION_DIRTY_WORKER || c->pid == 0) {
            continue;
        }
        n++;
        cg_json_open(j, '{');
        cg_json_put_int(j, "pid", c->pid);
        cg_json_put_int(j, "age", c->life.starts);
        cg_json_key(j, "apps");
        cg_companion_put_apps(c, j);
        cg_json_put_bool(j, "booted", cg_dirty_look(c->page, c->page_n).booted);
        cg_json_key(j, "last_heartbeat");
        cg_json_null(j);
        cg_json_close(j, '}');
    }
    cg_json_close(j, ']');
    return n;
}

static void
put_pid(struct cg_json *j, const char *key, int pid)
{
    cg_json_key(j, key);
    if (pid != 0) {
        cg_json_int(j, pid);
    } else {
        cg_json_null(j);
    }
}

static bool
has_app(const struct cg_companion *c, const char *app)
{
    char name[256];
    for (int i = 0; cg_dirty_app(c->page, c->page_n, i, name, sizeof name);
         i++) {
        if (strcmp(name, app) == 0) {
            return c->pid != 0;
        }
    }
    return false;
}

static int
put_pids_with(const struct cg_arbiter *a, const char *app, struct cg_json *j)
{
    int n = 0;
    cg_json_key(j, "worker_pids");
    cg_json_open(j, '[');
    for (int i = 0; i < a->companions.n; i++) {
        if (has_app(&a->companions.items[i], app)) {
            cg_json_int(j, a->companions.items[i].pid);
            n++;
        }
    }
    cg_json_close(j, ']');
    return n;
}

/* module:Class, or module:Class:N */
static void
put_dirty_app(const struct cg_arbiter *a, const char *spec, struct cg_json *j)
{
    const char *colon = strchr(spec, ':');
    const char *count = colon != NULL ? strchr(colon + 1, ':') : NULL;
    size_t n = count != NULL ? (size_t)(count - spec) : strlen(spec);
    cg_auto(free) char *app = cg_strndup(spec, n);
    cg_json_open(j, '{');
    cg_json_put_text(j, "import_path", app);
    put_pid(j, "worker_count", count != NULL ? atoi(count + 1) : 0);
    cg_json_put_int(j, "current_workers", put_pids_with(a, app, j));
    cg_json_close(j, '}');
}

static void
put_dirty_apps(const struct cg_arbiter *a, struct cg_json *j)
{
    const struct cg_value *apps = cg_settings_value(a->settings, CG_dirty_apps);
    cg_json_key(j, "apps");
    cg_json_open(j, '[');
    for (size_t i = 0; i < apps->list.n; i++) {
        put_dirty_app(a, apps->list.items[i].s, j);
    }
    cg_json_close(j, ']');
}

static int
show_dirty(const struct request *r)
{
    int pid = dirty_arbiter_pid(r->a);
    cg_json_open(r->data, '{');
    cg_json_put_bool(r->data, "enabled", pid != 0);
    put_pid(r->data, "pid", pid);
    put_dirty_workers(r->a, "workers", r->data);
    if (pid != 0) {
        put_dirty_apps(r->a, r->data);
    } else {
        cg_json_key(r->data, "apps");
        cg_json_open(r->data, '[');
        cg_json_close(r->data, ']');
    }
    cg_json_close(r->data, '}');
    return 0;
}

/* ---- the server ---- */

static void
put_process(struct cg_json *j, int pid, const char *type, const char *role)
{
    cg_json_open(j, '{');
    cg_json_put_int(j, "pid", pid);
    cg_json_put_text(j, "type", type);
    cg_json_put_text(j, "role", role);
    cg_json_close(j, '}');
}

static int
show_all(const struct request *r)
{
    struct cg_json *j = r->data;
    int dirty_pid = dirty_arbiter_pid(r->a);
    cg_json_open(j, '{');
    cg_json_key(j, "arbiter");
    put_process(j, r->a->master_pid, "arbiter", "master");
    put_workers(r, "web_workers", true);
    cg_json_put_int(j, "web_worker_count", r->a->nchildren);
    cg_json_key(j, "dirty_arbiter");
    if (dirty_pid != 0) {
        put_process(j, dirty_pid, "dirty_arbiter", "dirty master");
    } else {
        cg_json_null(j);
    }
    int n = put_dirty_workers(r->a, "dirty_workers", j);
    cg_json_put_int(j, "dirty_worker_count", n);
    cg_json_close(j, '}');
    return 0;
}

static void
put_value(const struct cg_value *v, struct cg_json *j)
{
    switch (v->kind) {
    case CG_VALUE_NONE: cg_json_null(j); return;
    case CG_VALUE_BOOL: cg_json_bool(j, v->b); return;
    case CG_VALUE_INT: cg_json_int(j, v->i); return;
    case CG_VALUE_FLOAT: cg_json_real(j, v->f); return;
    case CG_VALUE_STR: cg_json_text(j, v->s); return;
    case CG_VALUE_OBJECT: cg_json_text(j, v->object.repr); return;
    case CG_VALUE_LIST:
    case CG_VALUE_MAP: break;
    }
    cg_json_open(j, '[');
    for (size_t i = 0; i < v->list.n; i++) {
        put_value(&v->list.items[i], j);
    }
    cg_json_close(j, ']');
}

static int
show_config(const struct request *r)
{
    static const enum cg_setting_id told[] = {
        CG_bind,
        CG_workers,
        CG_worker_class,
        CG_threads,
        CG_timeout,
        CG_graceful_timeout,
        CG_keepalive,
        CG_max_requests,
        CG_max_requests_jitter,
        CG_worker_connections,
        CG_preload_app,
        CG_daemon,
        CG_pidfile,
        CG_proc_name,
        CG_reload,
        CG_dirty_workers,
        CG_dirty_apps,
        CG_dirty_timeout,
        CG_control_socket,
        CG_control_socket_disable,
    };
    const struct cg_settings *s = r->a->settings;
    const char *uri = cg_worker_class_of(s)->uri;
    cg_json_open(r->data, '{');
    for (size_t i = 0; i < CG_COUNT(told); i++) {
        cg_json_key(r->data, cg_setting_name(told[i]));
        if (told[i] == CG_worker_class && uri != NULL) {
            cg_auto(free) char *text = cg_strf("<class '%s'>", uri);
            cg_json_text(r->data, text);
        } else if (told[i] == CG_proc_name) {
            cg_json_text(r->data, cg_settings_proc_name(s));
        } else {
            put_value(cg_settings_value(s, told[i]), r->data);
        }
    }
    cg_json_close(r->data, '}');
    return 0;
}

static int
target(const struct cg_arbiter *a)
{
    return a->wanted_workers >= 0 ? a->wanted_workers : a->plan.o.target;
}

static int
show_stats(const struct request *r)
{
    const struct cg_arbiter *a = r->a;
    struct cg_json *j = r->data;
    cg_json_open(j, '{');
    cg_json_key(j, "uptime");
    cg_json_real(j, (double)((cg_now_us() - a->started_us) / 10000) / 100);
    cg_json_put_int(j, "pid", a->master_pid);
    cg_json_put_int(j, "workers_current", a->nchildren);
    cg_json_put_int(j, "workers_target", target(a));
    cg_json_put_int(j, "workers_spawned", a->plan.age);
    cg_json_put_int(j, "workers_killed", a->workers_killed);
    cg_json_put_int(j, "reloads", a->reloads_begun);
    put_pid(j, "dirty_arbiter_pid", dirty_arbiter_pid(a));
    cg_json_close(j, '}');
    return 0;
}

static int
show_listeners(const struct request *r)
{
    struct cg_json *j = r->data;
    cg_json_open(j, '{');
    cg_json_key(j, "listeners");
    cg_json_open(j, '[');
    for (int i = 0; i < r->a->sockets.n; i++) {
        const struct cg_listener *l = &r->a->sockets.items[i];
        cg_json_open(j, '{');
        cg_json_put_text(j, "address", l->text);
        cg_json_put_int(j, "fd", l->fd);
        cg_json_put_text(j, "type",
                         l->family == AF_UNIX    ? "unix"
                         : l->family == AF_INET  ? "tcp"
                         : l->family == AF_INET6 ? "tcp6"
                                                 : "unknown");
        cg_json_close(j, '}');
    }
    cg_json_close(j, ']');
    cg_json_put_int(j, "count", r->a->sockets.n);
    cg_json_close(j, '}');
    return 0;
}

/* ---- numbers ---- */

/* gunicorn's int(); what does not fit is a fault here. */
static int
read_number(const struct request *r, const char *text, int *ret)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0') {
        return cg_error_set(r->err, EINVAL,
                            "Invalid argument: invalid literal for int() with "
                            "base 10: '%.100s'",
                            text);
    }
    if (errno != 0 || n > INT_MAX / 2 || n < INT_MIN / 2) {
        return cg_error_set(r->err, ERANGE,
                            "Invalid argument: %.100s is out of range", text);
    }
    *ret = (int)n;
    return 0;
}

/* How many are meant: what is missing or below 1 is 1. */
static int
read_count(const struct request *r, int *ret)
{
    *ret = 1;
    int res = word(r, 2) != NULL ? read_number(r, word(r, 2), ret) : 0;
    *ret = *ret < 1 ? 1 : *ret;
    return res;
}

static int
refuse_at_end(const struct request *r)
{
    return r->a->plan.phase < PLAN_DRAINING
               ? 0
               : cg_error_set(r->err, EBUSY, "Command failed: the server is %s",
                              cg_plan_phase_word(r->a->plan.phase));
}

/* ---- orders ---- */

static int
change_workers(const struct request *r, const char *key, int sign)
{
    struct cg_arbiter *a = r->a;
    int n = 0, before = target(a);
    if (refuse_at_end(r) < 0 || read_count(r, &n) < 0) {
        return r->err->code;
    }
    int64_t now = (int64_t)before + sign * (int64_t)n;
    now = now < 1 ? 1 : now;
    if (a->plan.o.most != 0 && now > a->plan.o.most) {
        return cg_error_set(r->err, ERANGE,
                            "Invalid argument: no more than %d workers fit "
                            "until the next start",
                            a->plan.o.most);
    }
    a->wanted_workers = (int)now;
    cg_json_open(r->data, '{');
    cg_json_put_int(r->data, key, sign * (now - before));
    cg_json_put_int(r->data, "previous", before);
    cg_json_put_int(r->data, "total", now);
    cg_json_close(r->data, '}');
    return 0;
}

static int
add_workers(const struct request *r)
{
    return change_workers(r, "added", 1);
}

static int
remove_workers(const struct request *r)
{
    return change_workers(r, "removed", -1);
}

static void
put_failure(struct cg_json *j, const char *text)
{
    cg_json_open(j, '{');
    cg_json_put_bool(j, "success", false);
    cg_json_put_text(j, "error", text);
    cg_json_close(j, '}');
}

static bool
is_worker(const struct cg_arbiter *a, int pid)
{
    for (int i = 0; i < a->nchildren; i++) {
        if (a->children[i].pid == pid) {
            return true;
        }
    }
    return false;
}

static int
kill_worker(const struct request *r)
{
    int pid = 0;
    if (word(r, 2) == NULL) {
        return cg_error_set(r->err, EINVAL,
                            "Invalid argument: Missing PID for worker kill");
    }
    if (read_number(r, word(r, 2), &pid) < 0) {
        return r->err->code;
    }
    if (!is_worker(r->a, pid)) {
        cg_auto(free) char *text = cg_strf("Worker %d not found", pid);
        put_failure(r->data, text);
        return 0;
    }
    kill(pid, SIGTERM);
    cg_json_open(r->data, '{');
    cg_json_put_bool(r->data, "success", true);
    cg_json_put_int(r->data, "killed", pid);
    cg_json_close(r->data, '}');
    return 0;
}

static int
change_dirty(const struct request *r, const char *operation, const char *key,
             int sign)
{
    int n = 0;
    if (refuse_at_end(r) < 0 || read_count(r, &n) < 0) {
        return r->err->code;
    }
    if (dirty_arbiter_pid(r->a) == 0) {
        put_failure(r->data, "Dirty arbiter not running");
        return 0;
    }
    int before = cg_companions_dirty_workers(r->a);
    int now = cg_companions_change_dirty(r->a, sign * n);
    struct cg_json *j = r->data;
    cg_json_open(j, '{');
    cg_json_put_bool(j, "success", true);
    cg_json_put_text(j, "operation", operation);
    cg_json_put_int(j, "requested", n);
    cg_json_put_int(j, key, sign * (now - before));
    cg_json_put_int(j, "total_workers", now);
    cg_json_put_int(j, "target_workers", now);
    cg_json_close(j, '}');
    return 0;
}

static int
add_dirty(const struct request *r)
{
    return change_dirty(r, "add", "spawned", 1);
}

static int
remove_dirty(const struct request *r)
{
    return change_dirty(r, "remove", "removed", -1);
}

static int
raise_signal(const struct request *r, int sig, const char *status,
             const char *mode)
{
    cg_signals_raise(sig);
    cg_json_open(r->data, '{');
    cg_json_put_text(r->data, "status", status);
    if (mode != NULL) {
        cg_json_put_text(r->data, "mode", mode);
    }
    cg_json_close(r->data, '}');
    return 0;
}

static int
reload(const struct request *r)
{
    return refuse_at_end(r) < 0 ? r->err->code
                                : raise_signal(r, SIGHUP, "reloading", NULL);
}

static int
reopen(const struct request *r)
{
    return raise_signal(r, SIGUSR1, "reopening", NULL);
}

static int
shut_down(const struct request *r)
{
    const char *mode = word(r, 1) != NULL ? word(r, 1) : "graceful";
    return raise_signal(r, strcmp(mode, "quick") == 0 ? SIGINT : SIGTERM,
                        "shutting_down", mode);
}

/* ---- which ---- */

static int help(const struct request *r);

/* gunicorn's commands, in its order. */
static const struct command {
    const char *first, *second, *syntax, *help;
    int (*run)(const struct request *r);
    bool is_order;
} commands[] = {
    {"show", "all", "show all", "Every process of the server", show_all, false},
    {"show", "workers", "show workers", "Its HTTP workers", show_workers,
     false},
    {"show", "dirty", "show dirty", "Dirty workers and their applications",
     show_dirty, false},
    {"show", "config", "show config", "Settings as they are in effect",
     show_config, false},
    {"show", "stats", "show stats", "Counters of the server", show_stats,
     false},
    {"show", "listeners", "show listeners", "Sockets that it listens on",
     show_listeners, false},
    {"worker", "add", "worker add [N]", "One or N workers more", add_workers,
     true},
    {"worker", "remove", "worker remove [N]", "One or N workers less",
     remove_workers, true},
    {"worker", "kill", "worker kill <PID>", "TERM to that worker", kill_worker,
     true},
    {"dirty", "add", "dirty add [N]", "One or N dirty workers more", add_dirty,
     true},
    {"dirty", "remove", "dirty remove [N]", "One or N dirty workers less",
     remove_dirty, true},
    {"reload", NULL, "reload", "As HUP", reload, true},
    {"reopen", NULL, "reopen", "As USR1: log files anew", reopen, true},
    {"shutdown", NULL, "shutdown [graceful|quick]", "As TERM, or as INT",
     shut_down, true},
    {"help", NULL, "help", "These commands", help, false},
};

static int
help(const struct request *r)
{
    cg_json_open(r->data, '{');
    cg_json_key(r->data, "commands");
    cg_json_open(r->data, '{');
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        cg_json_put_text(r->data, commands[i].syntax, commands[i].help);
    }
    cg_json_close(r->data, '}');
    cg_json_close(r->data, '}');
    return 0;
}

/* Its words of two: which one is wrong. */
static int
refuse(const struct request *r, const char *first, const char *second)
{
    static const struct {
        const char *first, *what, *second;
    } pairs[] = {
        {"show", "show target", "all|workers|dirty|config|stats|listeners"},
        {"worker", "worker action", "add|remove|kill"},
        {"dirty", "dirty action", "add|remove"},
    };
    for (size_t i = 0; i < CG_COUNT(pairs); i++) {
        if (strcasecmp(pairs[i].first, first) != 0) {
            continue;
        }
        return second == NULL
                   ? cg_error_set(r->err, EINVAL,
                                  "Invalid argument: Missing %s (%s)",
                                  pairs[i].what, pairs[i].second)
                   : cg_error_set(r->err, EINVAL,
                                  "Invalid argument: Unknown %s: %.200s",
                                  pairs[i].what, second);
    }
    return cg_error_set(r->err, EINVAL,
                        "Invalid argument: Unknown command: %.200s", first);
}

static const struct command *
find_command(const char *first, const char *second)
{
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        const struct command *c = &commands[i];
        if (strcasecmp(c->first, first) == 0 &&
            (c->second == NULL ||
             (second != NULL && strcasecmp(c->second, second) == 0))) {
            return c;
        }
    }
    return NULL;
}

static void
lower(char *word)
{
    for (; *word != '\0'; word++) {
        *word = *word >= 'A' && *word <= 'Z' ? (char)(*word + 32) : *word;
    }
}

static int
run_words(const struct request *r, const struct cg_channel_peer *peer)
{
    const char *told[8];
    int n = 0;
    if (r->words->list.n == 0) {
        return cg_error_set(r->err, EINVAL, "Empty command");
    }
    lower(r->words->list.items[0].s);
    if (r->words->list.n > 1 && strcmp(word(r, 0), "shutdown") != 0) {
        lower(r->words->list.items[1].s);
    }
    const struct command *c = find_command(word(r, 0), word(r, 1));
    if (c == NULL) {
        return refuse(r, word(r, 0), word(r, 1));
    }
    for (; n < 8 && (size_t)n < r->words->list.n; n++) {
        told[n] = word(r, (size_t)n);
    }
    if (c->is_order) {
        cg_arbiter_tell_order(r->a, peer, told, n);
    }
    return c->run(r);
}

static int
run(void *self, const struct cg_channel_peer *peer,
    const struct cg_interface_request *asked, struct cg_json *data,
    struct cg_error *err)
{
    struct cg_value words = cg_value_list();
    const struct request r = {self, &words, data, err};
    int res = 0;
    if (asked->command[strspn(asked->command, " \t\r\n")] == '\0') {
        res = cg_error_set(err, EINVAL, "Empty command");
    } else if (cg_split_words(asked->command, &words) < 0) {
        res =
            cg_error_set(err, EINVAL, "Invalid argument: No closing quotation");
    }
    for (int i = 0; res == 0 && i < asked->nargs; i++) {
        cg_value_push(&words, cg_value_str(asked->args[i]));
    }
    res = res == 0 ? run_words(&r, peer) : res;
    cg_value_release(&words);
    return res;
}

const struct cg_interface_calls *
cg_arbiter_interface(struct cg_arbiter *a)
{
    a->interface.calls = (struct cg_interface_calls){.run = run, .self = a};
    return &a->interface.calls;
}
