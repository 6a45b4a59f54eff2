/* SPDX-License-Identifier: MIT */
/*
 * JSON (RFC 8259): a writer that appends to a buffer, and a reader that makes
 * a tree of nodes. The writer takes any bytes: what is no UTF-8 is written as
 * if it were Latin-1, so that the text is always valid. The reader takes what
 * a program of ours has written; its depth and its number of nodes are bounded.
 */
#ifndef CG_CONTROL_JSON_H
#define CG_CONTROL_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* ---- writing ---- */

struct cg_json {
    struct cg_buf *out; /* borrowed */
    bool follows;       /* a value comes before the next one: a comma */
};

/* '{', '}', '[' or ']'. */
void cg_json_open(struct cg_json *j, char bracket);
void cg_json_close(struct cg_json *j, char bracket);
void cg_json_key(struct cg_json *j, const char *key);
void cg_json_slice(struct cg_json *j, struct cg_slice s);
/* NULL is null. */
void cg_json_text(struct cg_json *j, const char *s);
void cg_json_int(struct cg_json *j, int64_t n);
void cg_json_bool(struct cg_json *j, bool b);
void cg_json_null(struct cg_json *j);
/* A number of seconds, with six digits behind the point at most. */
void cg_json_seconds(struct cg_json *j, uint64_t us);
void cg_json_real(struct cg_json *j, double x);

/* A key and its value. */
void cg_json_put_int(struct cg_json *j, const char *key, int64_t n);
void cg_json_put_text(struct cg_json *j, const char *key, const char *s);
void cg_json_put_bool(struct cg_json *j, const char *key, bool b);
void cg_json_put_seconds(struct cg_json *j, const char *key, uint64_t us);

/* ---- reading ---- */

enum cg_json_kind {
    CG_JSON_NULL,
    CG_JSON_FALSE,
    CG_JSON_TRUE,
    CG_JSON_NUMBER,
    CG_JSON_STRING,
    CG_JSON_ARRAY,
    CG_JSON_OBJECT
};

struct cg_json_node {
    enum cg_json_kind kind;
    const char *key; /* of an object's member, else NULL */
    const char *s;   /* CG_JSON_STRING: UTF-8 without a NUL inside */
    double x;        /* CG_JSON_NUMBER */
    int next;        /* the next member or element, 0: none */
    int first;       /* of an array or object, 0: empty */
    size_t at, n;    /* where the value was in the text that was read */
};

struct cg_json_tree {
    struct cg_json_node *nodes; /* owned; nodes[1] is the root */
    int n;
    char *text; /* owned */
};

/* 0 or -EINVAL. */
int cg_json_read(struct cg_slice text, struct cg_json_tree *ret);
void cg_json_release(struct cg_json_tree *t);
void cg_cleanup_json_tree(struct cg_json_tree *t);

/* All of these take NULL for "not there" and return it, or the empty value. */
const struct cg_json_node *cg_json_root(const struct cg_json_tree *t);
const struct cg_json_node *cg_json_get(const struct cg_json_tree *t,
                                       const struct cg_json_node *object,
                                       const char *key);
const struct cg_json_node *cg_json_first(const struct cg_json_tree *t,
                                         const struct cg_json_node *list);
const struct cg_json_node *cg_json_next(const struct cg_json_tree *t,
                                        const struct cg_json_node *node);
/* A member's value, or what stands for it. */
double cg_json_number_of(const struct cg_json_tree *t,
                         const struct cg_json_node *object, const char *key);
const char *cg_json_text_of(const struct cg_json_tree *t,
                            const struct cg_json_node *object, const char *key);
bool cg_json_is_true(const struct cg_json_node *node);

#endif
