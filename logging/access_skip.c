/* SPDX-License-Identifier: MIT */
/* What access_log_skip leaves out: paths, and statuses. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "logging/access_internal.h"

struct cg_access_skip {
    uint64_t status[10]; /* a bit for each of 0 to 639 */
    struct {
        char *path; /* owned */
        size_t n;
        bool begins; /* all paths that begin so */
    } * paths;
    size_t n;
};

enum { STATUS_MAX = 639 };

static void
set_status(struct cg_access_skip *s, int from, int to)
{
    for (int i = from; i <= to && i <= STATUS_MAX; i++) {
        s->status[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

/* "304" or "2xx"; false: no status. */
static bool
read_status(const char *word, int *ret_from, int *ret_to)
{
    bool digit = word[0] >= '1' && word[0] <= '5' && strlen(word) == 3;
    bool class =
        digit && (strcmp(word + 1, "xx") == 0 || strcmp(word + 1, "XX") == 0);
    if (!digit || (!class && strspn(word, "0123456789") != 3)) {
        return false;
    }
    *ret_from = class ? (word[0] - '0') * 100 : atoi(word);
    *ret_to = *ret_from + (class ? 99 : 0);
    return true;
}

static void
add_path(struct cg_access_skip *s, const char *path)
{
    size_t n = strlen(path);
    bool begins = path[n - 1] == '*';
    s->paths = cg_realloc(s->paths, (s->n + 1) * sizeof *s->paths);
    s->paths[s->n].path = cg_strdup(path);
    s->paths[s->n].n = n - begins;
    s->paths[s->n++].begins = begins;
}

struct cg_access_skip *
cg_access_skip_new(const char *const *items)
{
    struct cg_access_skip *s = cg_calloc(1, sizeof *s);
    for (; *items != NULL; items++) {
        int from, to;
        if ((*items)[0] == '/') {
            add_path(s, *items);
        } else if (read_status(*items, &from, &to)) {
            set_status(s, from, to);
        }
    }
    return s;
}

void
cg_access_skip_free(struct cg_access_skip *s)
{
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        free(s->paths[i].path);
    }
    if (s != NULL) {
        free(s->paths);
        free(s);
    }
}

bool
cg_access_skip_has(const struct cg_access_skip *s, int status,
                   struct cg_slice target)
{
    if (status >= 0 && status <= STATUS_MAX &&
        (s->status[status / 64] >> (status % 64) & 1) != 0) {
        return true;
    }
    const char *mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
    size_t n = mark != NULL ? (size_t)(mark - target.p) : target.n;
    for (size_t i = 0; i < s->n; i++) {
        if ((s->paths[i].begins ? n >= s->paths[i].n : n == s->paths[i].n) &&
            memcmp(target.p, s->paths[i].path, s->paths[i].n) == 0) {
            return true;
        }
    }
    return false;
}
