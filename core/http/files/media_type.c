/* SPDX-License-Identifier: MIT */
#include "core/http/files/media_type.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"

enum { ENDING_MAX = 15, TYPE_MAX = 128 };

struct cg_media_extra {
    char ending[ENDING_MAX + 1]; /* lower case */
    char *type;
};

static const struct {
    const char *ending;
    struct cg_media_type type;
} known[] = {
#define MEDIA(ending, type, text) {ending, {type, text}},
#include "core/http/files/media_types.def"
#undef MEDIA
};

static const struct cg_media_type unknown = {"application/octet-stream", false};

/* In lower case; false: there is none, or no type has one so long. */
static bool
ending_of(struct cg_slice path, char ret[ENDING_MAX + 1])
{
    const char *dot = path.n > 0 ? memrchr(path.p, '.', path.n) : NULL;
    size_t n = dot != NULL ? (size_t)(path.p + path.n - dot) - 1 : 0;
    if (n == 0 || n > ENDING_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = dot[1 + i];
        ret[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    ret[n] = '\0';
    return strchr(ret, '/') == NULL;
}

static const struct cg_media_type *
find_known(const char *ending)
{
    for (size_t i = 0; i < CG_COUNT(known); i++) {
        if (strcmp(known[i].ending, ending) == 0) {
            return &known[i].type;
        }
    }
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct cg_media_extra *)a)->ending,
                  ((const struct cg_media_extra *)b)->ending);
}

struct cg_media_type
cg_media_type_of(const struct cg_media_types *t, struct cg_slice path)
{
    struct cg_media_extra wanted;
    if (!ending_of(path, wanted.ending)) {
        return unknown;
    }
    const struct cg_media_type *type = find_known(wanted.ending);
    if (type != NULL) {
        return *type;
    }
    const struct cg_media_extra *x =
        t->n > 0 ? bsearch(&wanted, t->extra, t->n, sizeof wanted, compare)
                 : NULL;
    return x == NULL ? unknown
                     : (struct cg_media_type){
                           x->type, strncmp(x->type, "text/", 5) == 0};
}

/* The next word of a line, which goes from it. */
static struct cg_slice
next_word(struct cg_slice *line)
{
    struct cg_slice s = cg_slice_trim(*line);
    size_t n = 0;
    while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t' && s.p[n] != '\r') {
        n++;
    }
    *line = (struct cg_slice){s.p + n, s.n - n};
    return (struct cg_slice){s.p, n};
}

/* What may stand in a field as it is. */
static bool
is_type(struct cg_slice word)
{
    bool slash = false;
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] <= ' ' || word.p[i] > '~') {
            return false;
        }
        slash = slash || word.p[i] == '/';
    }
    return slash && word.n <= TYPE_MAX;
}

static void
add(struct cg_media_types *t, struct cg_slice type, struct cg_slice ending)
{
    enum { STEP = 256 };
    struct cg_media_extra x;
    cg_auto(free) char *name = cg_strf(".%.*s", (int)ending.n, ending.p);
    if (!ending_of(cg_slice_of(name), x.ending) ||
        find_known(x.ending) != NULL) {
        return;
    }
    if (t->n % STEP == 0) {
        t->extra = cg_realloc(t->extra, (t->n + STEP) * sizeof x);
    }
    x.type = cg_strndup(type.p, type.n);
    t->extra[t->n++] = x;
}

static void
read_line(struct cg_media_types *t, struct cg_slice line)
{
    struct cg_slice type = next_word(&line), ending;
    if (type.n == 0 || type.p[0] == '#' || !is_type(type)) {
        return;
    }
    while ((ending = next_word(&line)).n > 0 && ending.p[0] != '#') {
        add(t, type, ending);
    }
}

void
cg_media_types_read(struct cg_media_types *t, struct cg_slice text)
{
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        read_line(t, (struct cg_slice){text.p, n});
        n += end != NULL;
        text = (struct cg_slice){text.p + n, text.n - n};
    }
    if (t->n > 0) {
        qsort(t->extra, t->n, sizeof *t->extra, compare);
    }
}

void
cg_media_types_release(struct cg_media_types *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->extra[i].type);
    }
    free(t->extra);
    *t = (struct cg_media_types){0};
}
