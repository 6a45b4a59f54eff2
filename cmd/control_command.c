/* SPDX-License-Identifier: MIT */
#include "cmd/control_command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/servers.h"
#include "cmd/show.h"
#include "cmd/top.h"
#include "config/near.h"
#include "config/operations.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/control/json.h"

enum {
    EXIT_GOOD = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_READY = 3,
    WAIT_S = 120,
    LOOK_MS = 50, /* between two looks while waiting */
    STACKS_MS = 100
};

struct line {
    const struct cg_operation *op;
    const char *argument; /* NULL: none was given */
    const char *name, *pidfile;
    int pid;
    bool json, wait, now, help;
    long seconds; /* of waiting */
};

struct command {
    int (*run)(const struct line *l, const struct cg_server *s);
    void (*show)(struct cg_screen *s, const struct cg_json_tree *t);
};

static const struct command commands[CG_OPERATIONS];

/* ---- asking ---- */

static int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int
fail(const char *fmt, ...)
{
    char text[1200];
    cg_auto(buf) struct cg_buf clean = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cg_put_clean(&clean, text, false);
    fprintf(stderr, "cgunicorn: error: %s\n", cg_buf_str(&clean));
    return EXIT_ERROR;
}

/* -1, or an exit status when the server does not answer or says no. */
static int
ask(const struct cg_server *s, const char *line, struct cg_buf *reply,
    struct cg_json_tree *t)
{
    struct cg_error err = {0};
    if (cg_server_ask(s, line, reply, &err) < 0) {
        return fail("server %d: %s", s->pid, err.text);
    }
    if (cg_json_read((struct cg_slice){reply->p, reply->n}, t) < 0) {
        return fail("server %d: its answer is no JSON", s->pid);
    }
    const char *error = cg_json_text_of(t, cg_json_root(t), "error");
    return *error != '\0' ? fail("%s", error) : -1;
}

static void
print(struct cg_buf *text)
{
    fwrite(cg_buf_str(text), 1, text->n, stdout);
    fflush(stdout);
}

static void
print_json(struct cg_buf *reply)
{
    cg_auto(buf) struct cg_buf clean = {0};
    cg_put_clean(&clean, cg_buf_str(reply), true);
    print(&clean);
}

static void
present(const struct line *l, struct cg_buf *reply,
        const struct cg_json_tree *t)
{
    if (l->json) {
        print_json(reply);
    } else if (commands[l->op - cg_operations].show != NULL) {
        cg_auto(buf) struct cg_buf out = {0};
        struct cg_screen screen = cg_screen_of_stdout(&out);
        commands[l->op - cg_operations].show(&screen, t);
        print(&out);
    }
}

/* Sends the command's own word and its argument. As ask. */
static int
ask_line(const struct line *l, const struct cg_server *s, struct cg_buf *reply,
         struct cg_json_tree *t)
{
    cg_auto(free) char *text =
        cg_strf("%s%s%s", l->op->word, l->argument != NULL ? " " : "",
                l->argument != NULL ? l->argument : "");
    return ask(s, text, reply, t);
}

/* A question and its answer. */
static int
question(const struct line *l, const struct cg_server *s)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    int status = ask_line(l, s, &reply, &t);
    if (status >= 0) {
        return status;
    }
    present(l, &reply, &t);
    return EXIT_GOOD;
}

static int
status_command(const struct line *l, const struct cg_server *s)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    int status = ask(s, "status", &reply, &t);
    if (status >= 0) {
        return status;
    }
    present(l, &reply, &t);
    const char *state = cg_json_text_of(&t, cg_json_root(&t), "state");
    bool ready =
        cg_json_is_true(cg_json_get(&t, cg_json_root(&t), "serving")) &&
        (strcmp(state, "running") == 0 || strcmp(state, "reloading") == 0);
    return ready ? EXIT_GOOD : EXIT_NOT_READY;
}

static int
top_command(const struct line *l, const struct cg_server *s)
{
    return l->json ? status_command(l, s) : cg_top_run(s);
}

/* ---- waiting ---- */

struct patience {
    uint64_t until_us;
};

static struct patience
begin_waiting(const struct line *l)
{
    return (struct patience){cg_now_us() + (uint64_t)l->seconds * 1000000};
}

/* False when it has lasted too long. */
static bool
wait_on(const struct patience *p)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    nanosleep(&pause, NULL);
    return cg_now_us() < p->until_us;
}

/* The status of a server that may be gone: false. */
static bool
look(const struct cg_server *s, struct cg_json_tree *t)
{
    cg_auto(buf) struct cg_buf reply = {0};
    struct cg_error err = {0};
    cg_json_release(t);
    return cg_server_ask(s, "status", &reply, &err) == 0 &&
           cg_json_read((struct cg_slice){reply.p, reply.n}, t) == 0;
}

static double
number(const struct cg_json_tree *t, const char *key)
{
    return cg_json_number_of(t, cg_json_root(t), key);
}

static int done(const struct line *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
done(const struct line *l, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (l->json) {
        cg_auto(buf) struct cg_buf out = {0};
        struct cg_json j = {.out = &out};
        cg_json_open(&j, '{');
        cg_json_put_bool(&j, "ok", true);
        cg_json_put_text(&j, "text", text);
        cg_json_close(&j, '}');
        cg_buf_putc(&out, '\n');
        print(&out);
    } else {
        printf("%s\n", text);
    }
    return EXIT_GOOD;
}

/* ---- orders ---- */

static int
order(const struct line *l, const struct cg_server *s)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    int status = ask_line(l, s, &reply, &t);
    if (status >= 0) {
        return status;
    }
    if (l->json) {
        print_json(&reply);
        return EXIT_GOOD;
    }
    const struct cg_json_node *n = cg_json_get(&t, cg_json_root(&t), "workers");
    if (n != NULL) {
        return done(l, "%s: %.0f workers", l->op->word, n->x);
    }
    return done(l, "%s: done", l->op->word);
}

static int
reload_command(const struct line *l, const struct cg_server *s)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    int status = ask(s, "reload", &reply, &t);
    if (status >= 0) {
        return status;
    }
    double ticket = number(&t, "reload");
    if (!l->wait) {
        return done(l, "reload: asked for (--wait tells how it ends)");
    }
    struct patience p = begin_waiting(l);
    while (look(s, &t)) {
        if (number(&t, "reloads_ended") >= ticket) {
            const struct cg_json_node *root = cg_json_root(&t);
            return cg_json_is_true(cg_json_get(&t, root, "reload_good"))
                       ? done(l, "generation %.0f serves",
                              number(&t, "generation"))
                       : fail("the reload was rolled back: %s",
                              cg_json_text_of(&t, root, "reload_reason"));
        }
        if (!wait_on(&p)) {
            return fail("the reload did not end within %ld s: it goes on "
                        "(`cgunicorn status`)",
                        l->seconds);
        }
    }
    return fail("the server ended during the reload");
}

static int
wait_for_end(const struct line *l, int pid)
{
    struct patience p = begin_waiting(l);
    while (cg_process_is_alive(pid)) {
        if (!wait_on(&p)) {
            return fail("the master (pid:%d) still runs after %ld s", pid,
                        l->seconds);
        }
    }
    return -1;
}

static int
stop_command(const struct line *l, const struct cg_server *s)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    int status = ask(s, l->now ? "stop now" : "stop", &reply, &t);
    if (status < 0) {
        status = wait_for_end(l, s->pid);
    }
    return status < 0 ? done(l, "the server has ended") : status;
}

/* ---- upgrade ---- */

/* The master that has come beside it, the same user's. False: there is none
 * that answers. */
static bool
find_new_master(const struct cg_server *old, struct cg_server *ret)
{
    const struct cg_server_choice all = {0};
    struct cg_servers found;
    bool is_there = false;
    cg_servers_find(&all, &found);
    for (int i = 0; i < found.n && !is_there; i++) {
        is_there = found.items[i].old_master_pid == old->pid &&
                   found.items[i].uid == old->uid;
        if (is_there) {
            *ret = found.items[i];
        }
    }
    cg_servers_release(&found);
    return is_there;
}

static bool
is_serving(const struct cg_server *s)
{
    cg_auto(json_tree) struct cg_json_tree t = {0};
    return look(s, &t) &&
           cg_json_is_true(cg_json_get(&t, cg_json_root(&t), "serving"));
}

static int
say_failed_upgrade(const struct cg_server *old)
{
    return fail("the new master did not come up: the old one (pid:%d) serves "
                "on; its error log has the reason",
                old->pid);
}

/* Until it knows that it is alone: its pidfile has the name of the old one's
 * then. -1, or an exit status. */
static int
wait_for_promotion(const struct line *l, const struct cg_server *new)
{
    cg_auto(json_tree) struct cg_json_tree t = {0};
    struct patience p = begin_waiting(l);
    while (look(new, &t)) {
        if (number(&t, "old_master_pid") == 0) {
            return -1;
        }
        if (!wait_on(&p)) {
            return fail("the new master (pid:%d) does not notice after %ld s "
                        "that the old one has ended",
                        new->pid, l->seconds);
        }
    }
    return fail("the new master (pid:%d) has ended", new->pid);
}

/* Until the new master serves; -1, or an exit status. */
static int
wait_for_new_master(const struct line *l, const struct cg_server *old,
                    struct cg_server *ret)
{
    cg_auto(json_tree) struct cg_json_tree t = {0};
    struct patience p = begin_waiting(l);
    bool begun = false;
    while (look(old, &t)) {
        bool is_there = number(&t, "new_master_pid") != 0;
        if (begun && !is_there) {
            return say_failed_upgrade(old);
        }
        begun = begun || is_there;
        if (begun && find_new_master(old, ret) && is_serving(ret)) {
            return -1;
        }
        if (!wait_on(&p)) {
            return fail("the new master does not serve after %ld s; both go "
                        "on",
                        l->seconds);
        }
    }
    return fail("the old master (pid:%d) has ended", old->pid);
}

static int
upgrade_command(const struct line *l, const struct cg_server *s)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    struct cg_server new;
    int status = ask(s, "upgrade", &reply, &t);
    if (status >= 0) {
        return status;
    }
    if (!l->wait) {
        return done(l, "upgrade: a new master starts beside the old one "
                       "(--wait ends the old one when the new one serves)");
    }
    status = wait_for_new_master(l, s, &new);
    if (status >= 0) {
        return status;
    }
    cg_buf_reset(&reply);
    cg_json_release(&t);
    status = ask(s, "stop", &reply, &t);
    if (status < 0) {
        status = wait_for_end(l, s->pid);
    }
    if (status < 0) {
        status = wait_for_promotion(l, &new);
    }
    return status < 0 ? done(l,
                             "the new master (pid:%d) serves, the old one "
                             "(pid:%d) has ended",
                             new.pid, s->pid)
                      : status;
}

/* ---- stacks ---- */

static int
stacks_command(const struct line *l, const struct cg_server *s)
{
    const struct timespec pause = {.tv_nsec = STACKS_MS * 1000000L};
    const char *whom = l->argument != NULL ? l->argument : "all";
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    cg_auto(free) char *trace = cg_strf("trace %s", whom);
    cg_auto(free) char *stacks = cg_strf("stacks %s", whom);
    int status = ask(s, trace, &reply, &t);
    if (status < 0) {
        nanosleep(&pause, NULL); /* workers write them meanwhile */
        cg_buf_reset(&reply);
        cg_json_release(&t);
        status = ask(s, stacks, &reply, &t);
    }
    if (status >= 0) {
        return status;
    }
    present(l, &reply, &t);
    return EXIT_GOOD;
}

/* ---- which ---- */

static const struct command commands[CG_OPERATIONS] = {
    [CG_OP_status] = {status_command, cg_show_status},
    [CG_OP_top] = {top_command, NULL},
    [CG_OP_requests] = {question, cg_show_requests},
    [CG_OP_stacks] = {stacks_command, cg_show_stacks},
    [CG_OP_why] = {question, cg_show_deaths},
    [CG_OP_events] = {question, cg_show_events},
    [CG_OP_reload] = {reload_command, NULL},
    [CG_OP_scale] = {order, NULL},
    [CG_OP_drain] = {order, NULL},
    [CG_OP_resume] = {order, NULL},
    [CG_OP_recycle] = {order, NULL},
    [CG_OP_reopen] = {order, NULL},
    [CG_OP_loglevel] = {order, NULL},
    [CG_OP_upgrade] = {upgrade_command, NULL},
    [CG_OP_stop] = {stop_command, NULL},
};

static const struct cg_operation *
find(const char *word)
{
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        if (strcmp(word, cg_operations[i].word) == 0) {
            return &cg_operations[i];
        }
    }
    return NULL;
}

static const char *
nearest(const char *word)
{
    const char *best = NULL;
    size_t least = strlen(word) <= 4 ? 2 : 3;
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        size_t d = cg_word_distance(word, cg_operations[i].word);
        if (d < least) {
            least = d;
            best = cg_operations[i].word;
        }
    }
    return best;
}

/* Whether the folder has a module of that name. */
static bool
is_module(const char *word)
{
    cg_auto(free) char *file = cg_strf("%s.py", word);
    cg_auto(free) char *package = cg_strf("%s/__init__.py", word);
    return access(file, F_OK) == 0 || access(package, F_OK) == 0;
}

static bool
is_explicit(int argc, char *const *argv)
{
    return argc >= 2 && strcmp(argv[1], "ctl") == 0 && !is_module("ctl");
}

bool
cg_control_command_is(int argc, char *const *argv)
{
    return is_explicit(argc, argv) ||
           (argc >= 2 && find(argv[1]) != NULL && !is_module(argv[1]));
}

/* Those that need no running server. */
static const char *const others[] = {"config", "check", "generate"};

static const char *
nearest_other(const char *word)
{
    for (size_t i = 0; i < CG_COUNT(others); i++) {
        size_t d = cg_word_distance(word, others[i]);
        if (d > 0 && d <= 2) {
            return others[i];
        }
    }
    return NULL;
}

const char *
cg_control_command_near(int argc, char *const *argv)
{
    const char *word = argc >= 2 ? argv[1] : "-";
    if (word[0] == '-' || find(word) != NULL) {
        return NULL;
    }
    const char *near = nearest(word);
    return near != NULL ? near : nearest_other(word);
}

void
cg_control_command_list(FILE *out)
{
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        const struct cg_operation *op = &cg_operations[i];
        cg_auto(free) char *left =
            cg_strf("%s%s%s%s", op->word, *op->argument != '\0' ? " " : "",
                    op->argument, op->options);
        fprintf(out, "  %-20s %s\n", left, op->help);
    }
    fprintf(out, "  %-20s %s\n", "config, check, generate",
            "Need no server: see --help.");
}

/* ---- the line ---- */

static int usage(const struct cg_operation *op, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
print_usage(const struct cg_operation *op, FILE *out)
{
    fprintf(out,
            "usage: cgunicorn %s%s%s%s [--json] [--pid PID | -p PIDFILE | -n "
            "NAME] [--timeout SECONDS]\n",
            op != NULL ? op->word : "COMMAND",
            op != NULL && *op->argument != '\0' ? " " : "",
            op != NULL ? op->argument : "", op != NULL ? op->options : "");
}

static int
usage(const struct cg_operation *op, const char *fmt, ...)
{
    char text[400];
    cg_auto(buf) struct cg_buf clean = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cg_put_clean(&clean, text, false);
    print_usage(op, stderr);
    fprintf(stderr, "cgunicorn: error: %s\n", cg_buf_str(&clean));
    return EXIT_USAGE;
}

/* A decimal number of that many at most, or -1. */
static long
number_of(const char *text, long most)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    return end == text || *end != '\0' || errno != 0 || n < 0 || n > most ? -1
                                                                          : n;
}

/* The value of option argv[*at], behind it or behind "="; NULL: another option,
 * or it has none. */
static const char *
value_of(const char *name, int argc, char *const *argv, int *at)
{
    size_t n = strlen(name);
    const char *word = argv[*at];
    if (strncmp(word, name, n) != 0) {
        return NULL;
    }
    if (word[n] == '=' && name[1] == '-') {
        return word + n + 1;
    }
    if (word[n] != '\0' || *at + 1 >= argc) {
        return NULL;
    }
    return argv[++*at];
}

static int
take_number(struct line *l, const char *name, const char *text, long most,
            long *ret)
{
    *ret = number_of(text, most);
    return *ret > 0
               ? -1
               : usage(l->op, "%s: '%.60s' is no positive number", name, text);
}

/* Whether the command has that option of its own. */
static bool
has(const struct line *l, const char *option)
{
    return strstr(l->op->options, option) != NULL;
}

static bool
take_flag(struct line *l, const char *word)
{
    bool *flag = strcmp(word, "--json") == 0                   ? &l->json
                 : strcmp(word, "-h") == 0                     ? &l->help
                 : strcmp(word, "--help") == 0                 ? &l->help
                 : strcmp(word, "--wait") == 0 && has(l, word) ? &l->wait
                 : strcmp(word, "--now") == 0 && has(l, word)  ? &l->now
                                                               : NULL;
    if (flag != NULL) {
        *flag = true;
    }
    return flag != NULL;
}

static int
no_such_option(const struct line *l, const char *word)
{
    static const char *const known[] = {"--json", "--pid",     "--pidfile",
                                        "--name", "--timeout", "--wait",
                                        "--now",  "--help"};
    const char *near = NULL;
    size_t least = 4;
    for (size_t i = 0; i < CG_COUNT(known); i++) {
        size_t d = cg_word_distance(word, known[i]);
        if (d > 0 && d < least) {
            least = d;
            near = known[i];
        }
    }
    return usage(l->op, "%s has no option '%.60s', or it needs a value%s%s%s",
                 l->op->word, word, near != NULL ? "; did you mean '" : "",
                 near != NULL ? near : "", near != NULL ? "'?" : "");
}

static int
take_option(struct line *l, int argc, char *const *argv, int *at)
{
    const char *word = argv[*at], *v;
    long n = 0;
    int status = -1;
    if (take_flag(l, word)) {
        return -1;
    }
    if ((v = value_of("--pid", argc, argv, at)) != NULL) {
        status = take_number(l, "--pid", v, 1 << 30, &n);
        l->pid = (int)n;
    } else if ((v = value_of("--timeout", argc, argv, at)) != NULL) {
        status = take_number(l, "--timeout", v, 1 << 20, &l->seconds);
    } else if ((v = value_of("-p", argc, argv, at)) != NULL ||
               (v = value_of("--pidfile", argc, argv, at)) != NULL) {
        l->pidfile = v;
    } else if ((v = value_of("-n", argc, argv, at)) != NULL ||
               (v = value_of("--name", argc, argv, at)) != NULL) {
        l->name = v;
    } else {
        status = no_such_option(l, word);
    }
    return status;
}

/* "-1" of `scale -1` is no option. */
static bool
is_option(const struct line *l, const char *word)
{
    return word[0] == '-' &&
           !(word[1] >= '0' && word[1] <= '9' && l->op->argument != NULL);
}

static bool
is_wire_word(const char *word)
{
    for (const char *p = word; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return false;
        }
    }
    return *word != '\0' && strlen(word) < 200;
}

static int
take_argument(struct line *l, const char *word)
{
    const struct cg_operation *op = l->op;
    if (*op->argument == '\0' || l->argument != NULL || !is_wire_word(word)) {
        return usage(op, "%s: there is one word too many: '%.60s'", op->word,
                     word);
    }
    l->argument = word;
    return -1;
}

static int
parse(int argc, char *const *argv, struct line *l)
{
    int at = is_explicit(argc, argv) ? 2 : 1, status = -1;
    const char *word = at < argc ? argv[at] : "";
    *l = (struct line){.op = find(word), .seconds = WAIT_S};
    if (l->op == NULL) {
        const char *near = *word != '\0' ? nearest(word) : NULL;
        status = usage(NULL, "'%.60s' is no command%s%s%s; there are", word,
                       near != NULL ? "; did you mean '" : "",
                       near != NULL ? near : "", near != NULL ? "'?" : "");
        cg_control_command_list(stderr);
        return status;
    }
    for (at++; at < argc && status < 0; at++) {
        status = is_option(l, argv[at]) ? take_option(l, argc, argv, &at)
                                        : take_argument(l, argv[at]);
    }
    if (status < 0 && !l->help && l->argument == NULL &&
        *l->op->argument != '\0' && l->op->argument[0] != '[') {
        status = usage(l->op, "%s needs %s", l->op->word, l->op->argument);
    }
    return status;
}

/* ---- the server ---- */

/* The pid in a pidfile; 0, or an exit status in *ret. */
static int
read_pidfile(const char *path, int *ret)
{
    char text[32] = "";
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        *ret =
            fail("cannot read the pidfile '%.200s': %s", path, strerror(errno));
        return 0;
    }
    bool is_read = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    text[strcspn(text, "\n")] = '\0';
    long pid = is_read ? number_of(text, 1 << 30) : -1;
    if (pid <= 0) {
        *ret = fail("the pidfile '%.200s' has no pid", path);
        return 0;
    }
    return (int)pid;
}

static int
say_none(const char *name, const struct cg_servers *found, int pid)
{
    if (pid != 0) {
        return fail("no server of yours answers as pid %d", pid);
    }
    if (name != NULL) {
        return fail("no server of yours is called '%.100s'", name);
    }
    return fail("no server of yours runs here%s",
                found->strangers > 0
                    ? ": there are other users' (or one that starts or loads)"
                    : " (or it was started with control = false)");
}

static int
say_several(const struct cg_servers *found)
{
    fprintf(stderr, "cgunicorn: error: several servers run here; name one with "
                    "--pid PID, -p PIDFILE or -n NAME\n");
    fprintf(stderr, "  %-8s %-20s %-10s %s\n", "PID", "NAME", "STATE",
            "ADDRESS");
    for (int i = 0; i < found->n; i++) {
        const struct cg_server *s = &found->items[i];
        fprintf(stderr, "  %-8d %-20s %-10s %s\n", s->pid, s->name, s->state,
                s->address);
    }
    return EXIT_ERROR;
}

int
cg_control_choose(const struct cg_control_choice *which, struct cg_server *ret)
{
    struct cg_servers found;
    int status = -1, pid = which->pidfile != NULL
                               ? read_pidfile(which->pidfile, &status)
                               : which->pid;
    if (status >= 0) {
        return status;
    }
    cg_servers_find(&(struct cg_server_choice){.pid = pid, .name = which->name},
                    &found);
    status = found.n == 0  ? say_none(which->name, &found, pid)
             : found.n > 1 ? say_several(&found)
                           : -1;
    if (status < 0) {
        *ret = found.items[0];
    }
    cg_servers_release(&found);
    return status;
}

int
cg_control_command_run(int argc, char *const *argv)
{
    struct line l;
    struct cg_server server;
    int status = parse(argc, argv, &l);
    if (status >= 0) {
        return status;
    }
    if (l.help) {
        print_usage(l.op, stdout);
        printf("%s\n", l.op->help);
        return EXIT_GOOD;
    }
    const struct cg_control_choice which = {l.pid, l.pidfile, l.name};
    status = cg_control_choose(&which, &server);
    return status >= 0 ? status
                       : commands[l.op - cg_operations].run(&l, &server);
}
