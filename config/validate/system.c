/* SPDX-License-Identifier: MIT */
/*
 * What has to be there in this system: users, groups, a directory.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/validate/internal.h"
#include "core/base/memory.h"

static bool
all_digits(const char *s)
{
    return *s != '\0' && strspn(s, "0123456789") == strlen(s);
}

/* A number as an id. setuid() takes 32 bits of it: 2^32 would be root. */
static int
check_id(const char *complaint, struct cg_value *v, struct cg_error *err)
{
    enum { DIGITS = 10 };
    int64_t n = v->i;
    if (v->kind == CG_VALUE_STR) {
        const char *digits = v->s + strspn(v->s, "0");
        n = strlen(digits) > DIGITS ? INT64_MAX : atoll(digits);
    }
    if (n < 0 || n >= UINT32_MAX) {
        return cg_value_wrong(err, complaint, v,
                              "': ids go from 0 to 4294967294");
    }
    cg_value_replace(v, cg_value_int(n));
    return 0;
}

static bool
is_id(const struct cg_value *v)
{
    return v->kind == CG_VALUE_INT ||
           (v->kind == CG_VALUE_STR && all_digits(v->s));
}

int
cg_validate_user(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        cg_value_replace(v, cg_value_int(geteuid()));
        return 0;
    }
    if (is_id(v)) {
        return check_id("No such user: '", v, err);
    }
    struct passwd *pw = v->kind == CG_VALUE_STR ? getpwnam(v->s) : NULL;
    if (pw == NULL) {
        return cg_value_wrong(err, "No such user: '", v, "'");
    }
    cg_value_replace(v, cg_value_int(pw->pw_uid));
    return 0;
}

int
cg_validate_group(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        cg_value_replace(v, cg_value_int(getegid()));
        return 0;
    }
    if (is_id(v)) {
        return check_id("No such group: '", v, err);
    }
    struct group *gr = v->kind == CG_VALUE_STR ? getgrnam(v->s) : NULL;
    if (gr == NULL) {
        return cg_value_wrong(err, "No such group: '", v, "'");
    }
    cg_value_replace(v, cg_value_int(gr->gr_gid));
    return 0;
}

/* Where we are, as the shell spells it: links in PWD are kept. */
static char *
current_dir(void)
{
    const char *pwd = getenv("PWD");
    struct stat a, b;
    if (pwd != NULL && pwd[0] == '/' && stat(pwd, &a) == 0 &&
        stat(".", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        return cg_strdup(pwd);
    }
    cg_auto(free) char *cwd = getcwd(NULL, 0);
    return cg_strdup(cwd != NULL ? cwd : "/");
}

/* Without ".", ".." and doubled slashes, by its text alone: a link such as
 * /srv/current stays what it is, so that it can be moved under the server. */
static char *
normalized(const char *path)
{
    struct cg_buf b = {0};
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            while (b.n > 0 && b.p[--b.n] != '/') {
            }
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            cg_buf_putc(&b, '/');
            cg_buf_put(&b, path, n);
        }
        path += n + (path[n] == '/');
    }
    if (b.n == 0) {
        cg_buf_putc(&b, '/');
    }
    return cg_buf_take(&b);
}

int
cg_validate_chdir(struct cg_value *v, struct cg_error *err)
{
    int r = cg_validate_str(v, err);
    if (r < 0) {
        return r;
    }
    const char *dir = v->kind == CG_VALUE_STR ? v->s : ".";
    cg_auto(free) char *here = current_dir();
    cg_auto(free) char *joined =
        dir[0] == '/' ? cg_strdup(dir) : cg_strf("%s/%s", here, dir);
    cg_auto(free) char *path = normalized(joined);
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return cg_error_set(err, ENOENT, "can't chdir to '%s'", dir);
    }
    cg_value_replace(v, cg_value_str(path));
    return 0;
}
