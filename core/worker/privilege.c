/* SPDX-License-Identifier: MIT */
#include "core/worker/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/memory.h"

enum { GROUPS_MOST = 65536 };

/* Those of the user's entry, or none at all: never root's. */
static int
take_groups(uid_t uid, gid_t gid, bool initialise, struct cg_error *err)
{
    struct passwd *pw = initialise ? getpwuid(uid) : NULL;
    if (pw != NULL) {
        return initgroups(pw->pw_name, gid) < 0
                   ? cg_error_set(err, errno,
                                  "initgroups: cannot take the groups of '%s': "
                                  "%s",
                                  pw->pw_name, strerror(errno))
                   : 0;
    }
    return setgroups(0, NULL) < 0
               ? cg_error_set(err, errno,
                              "user: cannot let go of the groups that this "
                              "program was started with: %s",
                              strerror(errno))
               : 0;
}

/* r is what the change to that user or group returned. */
static int
became(const char *what, unsigned id, int r, struct cg_error *err)
{
    return r < 0 ? cg_error_set(err, errno,
                                "%s: cannot become %s %u: %s (start as root, "
                                "or leave `%s` out)",
                                what, what, id, strerror(errno), what)
                 : 0;
}

/* What the kernel says of it, not what the calls returned. */
static int
check(uid_t uid, gid_t gid, struct cg_error *err)
{
    uid_t u[3];
    gid_t g[3];
    if (getresuid(&u[0], &u[1], &u[2]) == 0 &&
        getresgid(&g[0], &g[1], &g[2]) == 0 && u[0] == uid && u[1] == uid &&
        u[2] == uid && g[0] == gid && g[1] == gid && g[2] == gid &&
        (uid == 0 || setuid(0) < 0)) {
        return 0;
    }
    return cg_error_set(err, EPERM,
                        "user: the change to %u:%u did not hold: this worker "
                        "does not go on with other rights",
                        (unsigned)uid, (unsigned)gid);
}

int
cg_privilege_drop(const struct cg_settings *s, struct cg_error *err)
{
    uid_t uid = (uid_t)cg_settings_int(s, CG_user);
    gid_t gid = (gid_t)cg_settings_int(s, CG_group);
    bool initialise = cg_settings_bool(s, CG_initgroups);
    bool was_root = geteuid() == 0;
    uid = uid == 0 ? geteuid() : uid; /* gunicorn: root is no wish */
    gid = gid == 0 ? getegid() : gid;
    bool changes = uid != geteuid();
    int r = 0;
    if (was_root && (changes || (initialise && gid != getegid()))) {
        r = take_groups(uid, gid, initialise, err);
    }
    if (r == 0 && (gid != getegid() || (was_root && changes))) {
        r = became("group", gid, setresgid(gid, gid, gid), err);
    }
    if (r == 0 && changes) {
        r = became("user", uid, setresuid(uid, uid, uid), err);
    }
    return r == 0 && was_root && changes ? check(uid, gid, err) : r;
}

bool
cg_privilege_keeps_roots_group(const struct cg_settings *s)
{
    return geteuid() == 0 && cg_settings_int(s, CG_user) != 0 &&
           cg_settings_int(s, CG_group) == 0 && getegid() == 0;
}

int
cg_privilege_bind(const struct cg_settings *s, struct cg_error *err)
{
    return cg_settings_bool(s, CG_no_new_privs) &&
                   prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
               ? cg_error_set(err, errno, "no_new_privs: %s", strerror(errno))
               : 0;
}
