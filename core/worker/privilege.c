/* SPDX-License-Identifier: MIT */
#include "core/worker/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

static int
drop_group(uid_t uid, gid_t gid, bool initialise, struct cg_error *err)
{
    struct passwd *pw = initialise ? getpwuid(uid) : NULL;
    if (pw != NULL && initgroups(pw->pw_name, gid) < 0) {
        return cg_error_set(err, errno,
                            "initgroups: cannot take the groups of '%s': %s",
                            pw->pw_name, strerror(errno));
    }
    if (gid != getegid() && setgid(gid) < 0) {
        return cg_error_set(err, errno,
                            "group: cannot become group %u: %s (start as "
                            "root, or leave `group` out)",
                            (unsigned)gid, strerror(errno));
    }
    return 0;
}

int
cg_privilege_drop(const struct cg_settings *s, struct cg_error *err)
{
    uid_t uid = (uid_t)cg_settings_int(s, CG_user);
    gid_t gid = (gid_t)cg_settings_int(s, CG_group);
    if (gid != 0) {
        int r = drop_group(uid, gid, cg_settings_bool(s, CG_initgroups), err);
        if (r < 0) {
            return r;
        }
    }
    if (uid != 0 && uid != geteuid() && setuid(uid) < 0) {
        return cg_error_set(err, errno,
                            "user: cannot become user %u: %s (start as root, "
                            "or leave `user` out)",
                            (unsigned)uid, strerror(errno));
    }
    return 0;
}
