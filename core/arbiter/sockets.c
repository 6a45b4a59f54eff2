/* SPDX-License-Identifier: MIT */
#include "core/arbiter/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/net/listener_fault.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/interp.h"

enum { TRIES = 5, SLICE_MS = 100, SLICES = 10 };

static struct cg_listener_options
options_of(const struct cg_settings *s)
{
    return (struct cg_listener_options){
        .backlog = (int)cg_settings_int(s, CG_backlog),
        .reuse_port = cg_settings_bool(s, CG_reuse_port),
        .umask = (unsigned)cg_settings_int(s, CG_umask),
        .uid = (int)cg_settings_int(s, CG_user),
        .gid = (int)cg_settings_int(s, CG_group),
    };
}

static const struct cg_listener *
find(const struct cg_sockets *s, const char *text)
{
    for (int i = 0; s != NULL && i < s->n; i++) {
        if (strcmp(cg_addr_bare(s->items[i].addr.text), cg_addr_bare(text)) ==
            0) {
            return &s->items[i];
        }
    }
    return NULL;
}

/* A second's pause that a signal to stop ends. GIL given up meanwhile. */
static bool
pause_or_stop(bool (*interrupted)(void *self), void *self)
{
    for (int i = 0; i < SLICES; i++) {
        if (interrupted(self)) {
            return true;
        }
        cg_gil_drop();
        poll(NULL, 0, SLICE_MS);
        cg_gil_take();
    }
    return interrupted(self);
}

static void
log_try(struct cg_log *log, const struct cg_addr *addr,
        const struct cg_error *err)
{
    char tuple[320];
    cg_addr_tuple(addr, tuple, sizeof tuple);
    if (err->code == -EADDRINUSE) {
        cg_log_line(log, CG_ERROR, "Connection in use: %s", tuple);
    } else if (err->code == -EADDRNOTAVAIL) {
        cg_log_line(log, CG_ERROR, "Invalid address: %s", tuple);
    }
    cg_log_line(log, CG_ERROR, "connection to %s failed: %s", tuple, err->text);
}

/* gunicorn's text for what is no number goes on. */
static int
no_such_name(const char *text, struct cg_error *err)
{
    const char *names = getenv("LISTEN_FDNAMES");
    return cg_error_set(err, EBADF,
                        "'%s' is not a valid file descriptor. Nor is it the "
                        "name of a socket that systemd gave "
                        "(LISTEN_FDNAMES='%.200s').",
                        text + strlen("fd://"), names != NULL ? names : "");
}

static int
open_one(const struct cg_addr *addr, const struct cg_listener_options *o,
         struct cg_log *log, bool (*interrupted)(void *self), void *self,
         struct cg_listener *ret, struct cg_error *err)
{
    if (addr->kind == CG_ADDR_FD && addr->fd < 0) {
        return no_such_name(addr->text, err);
    }
    if (addr->kind == CG_ADDR_FD) {
        return cg_listener_adopt(addr->fd, o, ret, err);
    }
    for (int try = 1;; try++) {
        int r = cg_listener_open(addr, o, ret, err);
        if (r == 0) {
            return 0;
        }
        log_try(log, addr, err);
        bool again = r == -EADDRINUSE || r == -EADDRNOTAVAIL;
        if (!again || try == TRIES) {
            return cg_error_prefix(err, "Can't connect to %s", addr->text);
        }
        cg_log_line(log, CG_DEBUG, "Retrying in 1 second.");
        if (pause_or_stop(interrupted, self)) {
            return cg_error_set(err, ECANCELED, "stopped while waiting for %s",
                                addr->text);
        }
    }
}

static int
take_over(const struct cg_listener *old, struct cg_listener *ret,
          struct cg_error *err)
{
    *ret = *old;
    ret->fd = fcntl(old->fd, F_DUPFD_CLOEXEC, 3);
    return ret->fd < 0 ? cg_error_set(err, errno, "cannot keep %s: %s",
                                      old->text, strerror(errno))
                       : 0;
}

/* A socket whose file somebody removed, or that a worker has broken for good,
 * is made anew. */
static int
keep_or_renew(const struct cg_listener *old,
              const struct cg_listener_options *o, struct cg_log *log,
              struct cg_listener *ret, struct cg_error *err)
{
    bool lost = cg_listener_is_lost(old);
    enum cg_listener_fault fault =
        lost ? CG_LISTENER_WELL : cg_listener_examine(old);
    if (!lost &&
        (fault == CG_LISTENER_WELL || !cg_listener_is_replaceable(old) ||
         cg_listener_mend(old, fault) == 0)) {
        return take_over(old, ret, err);
    }
    cg_log_line(log, CG_WARNING,
                lost ? "the socket file of %s was gone: made anew"
                     : "the socket %s was broken: made anew",
                old->text);
    return cg_listener_open(&old->addr, o, ret, err);
}

static bool
same_binds(const struct cg_settings *x, const struct cg_settings *y)
{
    cg_auto(buf) struct cg_buf a = {0};
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_repr(cg_settings_value(x, CG_bind), &a);
    cg_value_repr(cg_settings_value(y, CG_bind), &b);
    return strcmp(cg_buf_str(&a), cg_buf_str(&b)) == 0;
}

static int
keep_all(const struct cg_sockets *old, const struct cg_listener_options *o,
         struct cg_log *log, struct cg_sockets *ret, struct cg_error *err)
{
    struct cg_sockets made = {
        .items = cg_calloc((size_t)old->n + 1, sizeof *made.items)};
    for (int i = 0; i < old->n; i++) {
        int r = keep_or_renew(&old->items[i], o, log, &made.items[i], err);
        if (r < 0) {
            cg_sockets_close(&made, old, true);
            return r;
        }
        made.n++;
    }
    *ret = made;
    return 0;
}

/* An fd:// bind leaves all others out (gunicorn-compat 3.3). */
static bool
has_fd(const struct cg_value *bind)
{
    for (size_t i = 0; i < bind->list.n; i++) {
        if (strncmp(bind->list.items[i].s, "fd://", 5) == 0) {
            return true;
        }
    }
    return false;
}

/* All of that name. */
static int
keep_named(const struct cg_sockets *old, const struct cg_addr *addr,
           struct cg_sockets *made, struct cg_error *err)
{
    int before = made->n;
    for (int i = 0; old != NULL && i < old->n; i++) {
        if (strcmp(old->items[i].fd_name, addr->text + strlen("fd://")) != 0) {
            continue;
        }
        int r = take_over(&old->items[i], &made->items[made->n], err);
        if (r < 0) {
            return r;
        }
        made->n++;
    }
    return made->n > before ? 0 : no_such_name(addr->text, err);
}

/* Whether another bind has the port for IPv4: [::] would take it, too, and the
 * other one would find the server in its own way. */
static bool
shares_port(const struct cg_value *bind, const struct cg_addr *addr)
{
    for (size_t i = 0; addr->v6 && i < bind->list.n; i++) {
        struct cg_addr other;
        if (cg_addr_parse(bind->list.items[i].s, &other, NULL) == 0 &&
            other.kind == CG_ADDR_TCP && !other.v6 &&
            other.port == addr->port) {
            return true;
        }
    }
    return false;
}

int
cg_sockets_open(const struct cg_settings *s,
                const struct cg_settings *old_settings,
                const struct cg_sockets *old, struct cg_log *log,
                bool (*interrupted)(void *self), void *self,
                struct cg_sockets *ret, struct cg_error *err)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    struct cg_listener_options o = options_of(s);
    if (old_settings != NULL && same_binds(s, old_settings)) {
        return keep_all(old, &o, log, ret, err);
    }
    size_t most = bind->list.n + (old != NULL ? (size_t)old->n : 0);
    struct cg_sockets made = {.items = cg_calloc(most, sizeof *made.items)};
    bool fds_only = has_fd(bind);
    int r = 0;
    for (size_t i = 0; r == 0 && i < bind->list.n; i++) {
        struct cg_addr addr;
        r = cg_addr_parse(bind->list.items[i].s, &addr, err);
        if (r < 0) {
            cg_error_prefix(err, "%s: bind", s->source[CG_bind].text);
        } else if (!fds_only || addr.kind == CG_ADDR_FD) {
            if (addr.kind == CG_ADDR_FD && addr.fd < 0) {
                r = keep_named(old, &addr, &made, err);
                continue;
            }
            o.v6only = shares_port(bind, &addr);
            const struct cg_listener *kept = find(old, addr.text);
            r = kept != NULL
                    ? keep_or_renew(kept, &o, log, &made.items[made.n], err)
                    : open_one(&addr, &o, log, interrupted, self,
                               &made.items[made.n], err);
            if (r == 0) {
                made.items[made.n++].addr = addr;
            }
        }
    }
    if (r < 0) {
        cg_sockets_close(&made, old, true);
        return r;
    }
    *ret = made;
    return 0;
}

/* ---- inherited ones ---- */

/* The bind that an old master opened it for: a later reload knows it again. */
static void
find_bind(const struct cg_settings *s, struct cg_listener *l)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    for (size_t i = 0; i < bind->list.n; i++) {
        struct cg_addr addr;
        if (cg_addr_parse(bind->list.items[i].s, &addr, NULL) == 0 &&
            cg_listener_is_at(l, &addr)) {
            l->addr = addr;
            return;
        }
    }
}

static int
adopt(const struct cg_settings *s, int fd, bool ours, struct cg_sockets *made,
      struct cg_error *err)
{
    struct cg_listener_options o = options_of(s);
    made->items =
        cg_realloc(made->items, (size_t)(made->n + 1) * sizeof *made->items);
    struct cg_listener *l = &made->items[made->n];
    int r = cg_listener_adopt(fd, &o, l, err);
    if (r == 0) {
        made->n++;
        if (ours) {
            l->adopted = false;
            find_bind(s, l);
        }
    }
    return r;
}

/* "5,6,7": its first number, and where the list goes on. -1: no number. */
static int
take_number(const char **p)
{
    char *end;
    long fd = strtol(*p, &end, 10);
    if (end == *p || (*end != '\0' && *end != ',') || fd < 0 || fd > INT_MAX) {
        return -1;
    }
    *p = *end == ',' ? end + 1 : end;
    return (int)fd;
}

static int
check_list(const char *list, struct cg_error *err)
{
    for (const char *p = list; *p != '\0';) {
        if (take_number(&p) < 0) {
            return cg_error_set(err, EINVAL,
                                "GUNICORN_FD='%.100s' is not a list of "
                                "descriptors: unset it, or let the old master "
                                "set it (USR2)",
                                list);
        }
    }
    return 0;
}

static int
adopt_list(const struct cg_settings *s, const char *list,
           struct cg_sockets *made, struct cg_error *err)
{
    int r = check_list(list, err);
    for (const char *p = list; r == 0 && *p != '\0';) {
        r = adopt(s, take_number(&p), true, made, err);
        if (r < 0) {
            cg_error_prefix(err, "GUNICORN_FD");
        }
    }
    return r;
}

enum { LISTEN_FIRST = 3, LISTEN_MOST = 1024, NAME_MOST = 255 };

/* ---- names ---- */

/* The number-th of "web:admin"; "" if there is none. */
static void
name_of(const char *names, int number, char *out)
{
    while (number-- > 0 && names != NULL) {
        names = strchr(names, ':');
        names = names != NULL ? names + 1 : NULL;
    }
    size_t n = names != NULL ? strcspn(names, ":") : 0;
    n = n < NAME_MOST ? n : NAME_MOST;
    memcpy(out, names != NULL ? names : "", n);
    out[n] = '\0';
}

/* bind has fd://NAME: 1 that name, 0 only others, -1 none. */
static int
wants(const struct cg_settings *s, const char *name)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    int found = -1;
    for (size_t i = 0; i < bind->list.n && found < 1; i++) {
        struct cg_addr addr;
        if (cg_addr_parse(bind->list.items[i].s, &addr, NULL) == 0 &&
            addr.kind == CG_ADDR_FD && addr.fd < 0) {
            found = strcmp(addr.text + strlen("fd://"), name) == 0;
        }
    }
    return found;
}

/* Every name of bind was found. */
static int
check_names(const struct cg_settings *s, const struct cg_sockets *made,
            struct cg_error *err)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    for (size_t i = 0; i < bind->list.n; i++) {
        struct cg_addr addr;
        if (cg_addr_parse(bind->list.items[i].s, &addr, NULL) == 0 &&
            addr.kind == CG_ADDR_FD && addr.fd < 0 &&
            find(made, addr.text) == NULL) {
            return no_such_name(addr.text, err);
        }
    }
    return 0;
}

/* One of systemd's: all are served, unless bind has names. *names: of those
 * that are. */
static int
adopt_named(const struct cg_settings *s, int fd, const char *name,
            struct cg_sockets *made, struct cg_buf *names, struct cg_error *err)
{
    int wanted = wants(s, name);
    if (wanted == 0) {
        close(fd); /* systemd keeps it */
        return 0;
    }
    int r = adopt(s, fd, false, made, err);
    if (r == 0) {
        struct cg_listener *l = &made->items[made->n - 1];
        snprintf(l->fd_name, sizeof l->fd_name, "%s", name);
        if (wanted == 1) {
            snprintf(l->addr.text, sizeof l->addr.text, "fd://%s", name);
        }
        cg_buf_putf(names, "%s%s", made->n > 1 ? ":" : "", name);
    }
    return r;
}

static int
adopt_systemds(const struct cg_settings *s, int n, struct cg_sockets *made,
               struct cg_error *err)
{
    cg_auto(buf) struct cg_buf names = {0};
    const char *given = getenv("LISTEN_FDNAMES");
    char name[NAME_MOST + 1];
    for (int i = 0; i < n; i++) {
        name_of(given, i, name);
        int r = adopt_named(s, LISTEN_FIRST + i, name, made, &names, err);
        if (r < 0) {
            return cg_error_prefix(err, "LISTEN_FDS=%d", n);
        }
    }
    int r = check_names(s, made, err);
    if (r == 0 && given != NULL) { /* as many as there are now, for USR2 */
        cg_python_setenv("LISTEN_FDNAMES", cg_buf_str(&names), NULL);
    }
    return r;
}

/* systemd's are for us only if LISTEN_PID says so. */
static int
count_listen_fds(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != getpid()) {
        return 0;
    }
    long n = strtol(fds, NULL, 10);
    return n > 0 && n <= LISTEN_MOST ? (int)n : 0;
}

int
cg_sockets_inherit(const struct cg_settings *s, struct cg_sockets *ret,
                   enum cg_inherited *ret_from, struct cg_error *err)
{
    const char *list = getenv("GUNICORN_FD");
    int n = count_listen_fds();
    struct cg_sockets made = {0};
    int r = 0;
    if (n > 0) {
        r = adopt_systemds(s, n, &made, err);
        *ret_from = INHERITED_SYSTEMD;
    } else if (list != NULL && list[0] != '\0') {
        r = adopt_list(s, list, &made, err);
        *ret_from = INHERITED_UPGRADE;
    } else {
        *ret_from = INHERITED_NOTHING;
    }
    if (r < 0) {
        cg_sockets_close(&made, NULL, false);
        return r;
    }
    *ret = made;
    return 0;
}

void
cg_sockets_close(struct cg_sockets *s, const struct cg_sockets *next,
                 bool unlink_paths)
{
    for (int i = 0; i < s->n; i++) {
        bool kept = find(next, s->items[i].addr.text) != NULL;
        cg_listener_close(&s->items[i], unlink_paths && !kept);
    }
    free(s->items);
    *s = (struct cg_sockets){0};
}

void
cg_sockets_quiesce(const struct cg_sockets *s)
{
    for (int i = 0; i < s->n; i++) {
        cg_listener_quiesce(&s->items[i]);
    }
}

void
cg_sockets_names(const struct cg_sockets *s, struct cg_buf *out)
{
    for (int i = 0; i < s->n; i++) {
        const struct cg_listener *l = &s->items[i];
        if (l->fd_name[0] != '\0') {
            cg_buf_puts(out, out->n > 0 ? ", " : "");
            cg_buf_put_escaped(out, cg_slice_of(l->fd_name), NAME_MOST);
            cg_buf_putf(out, " (%s)", l->text);
        }
    }
}

void
cg_sockets_secure(struct cg_sockets *s, const struct cg_settings *settings)
{
    for (int i = 0; i < s->n; i++) {
        struct cg_listener *l = &s->items[i];
        cg_listener_set_secure(
            l, cg_settings_bind_is_secure(settings, l->addr.tls != 0));
    }
}

void
cg_sockets_text(const struct cg_sockets *s, struct cg_buf *out)
{
    for (int i = 0; i < s->n; i++) {
        cg_buf_puts(out, i > 0 ? "," : "");
        cg_buf_puts(out, s->items[i].text);
    }
}
