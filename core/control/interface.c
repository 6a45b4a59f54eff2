/* SPDX-License-Identifier: MIT */
#include "core/control/interface.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/utf8.h"

enum {
    HEADER = 4,
    PATIENCE_MS = 10 * 1000,
    IDLE_MS = 300 * 1000 /* gunicorn's */
};

/* ---- what was asked ---- */

/* As Python's str() has it; NULL: no word. The text of a number is in `room`.
 */
static const char *
word_of(const struct cg_json_node *node, char *room, size_t n)
{
    switch (node->kind) {
    case CG_JSON_NULL: return "None";
    case CG_JSON_FALSE: return "False";
    case CG_JSON_TRUE: return "True";
    case CG_JSON_STRING: return node->s;
    case CG_JSON_NUMBER: snprintf(room, n, "%.15g", node->x); return room;
    case CG_JSON_ARRAY:
    case CG_JSON_OBJECT: return NULL;
    }
    return NULL;
}

typedef char number_text[40];

/* NULL, or what is wrong. */
static const char *
read_args(const struct cg_json_tree *t, const struct cg_json_node *args,
          number_text *room, struct cg_interface_request *ret)
{
    const struct cg_json_node *item;
    if (args == NULL || args->kind == CG_JSON_NULL) {
        return NULL;
    }
    if (args->kind != CG_JSON_ARRAY) {
        return "args is no list of words";
    }
    for (item = cg_json_first(t, args); item != NULL;
         item = cg_json_next(t, item)) {
        if (ret->nargs == CG_INTERFACE_ARGS) {
            return "too many args";
        }
        const char *word = word_of(item, room[ret->nargs], sizeof *room);
        if (word == NULL) {
            return "args is no list of words";
        }
        ret->args[ret->nargs++] = word;
    }
    return NULL;
}

/* ---- the answer ---- */

/* The id as it was sent; its control characters could only be blanks. */
static void
put_id(const struct cg_json_node *id, struct cg_slice text, struct cg_buf *out)
{
    if (id == NULL) {
        cg_buf_putc(out, '0');
        return;
    }
    for (size_t i = id->at; i < id->at + id->n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        cg_buf_putc(out, c < 0x20 ? ' ' : (char)c);
    }
}

static void
put_error(const char *text, struct cg_buf *out)
{
    struct cg_json j = {.out = out};
    cg_buf_puts(out, ",\"status\":\"error\",\"error\":");
    cg_json_text(&j, text);
}

static void
put_answer(const struct cg_interface_calls *calls, int fd,
           const struct cg_json_tree *t, struct cg_buf *out)
{
    const struct cg_json_node *root = cg_json_root(t);
    struct cg_interface_request r = {.command =
                                         cg_json_text_of(t, root, "command")};
    number_text room[CG_INTERFACE_ARGS];
    struct cg_channel_peer peer = {0};
    struct cg_error err = {0};
    cg_auto(buf) struct cg_buf data = {0};
    struct cg_json j = {.out = &data};
    const char *wrong = read_args(t, cg_json_get(t, root, "args"), room, &r);
    cg_channel_peer_of(fd, &peer);
    if (wrong != NULL) {
        cg_error_set(&err, 0, "Invalid argument: %s", wrong);
    } else if (calls->run(calls->self, &peer, &r, &j, &err) >= 0) {
        cg_buf_puts(out, ",\"status\":\"ok\",\"data\":");
        cg_buf_put(out, data.p, data.n);
        return;
    }
    put_error(err.text, out);
}

/* ---- frames ---- */

static bool
is_utf8(struct cg_slice s)
{
    struct cg_utf8 u = {0};
    return cg_utf8_feed(&u, s.p, s.n) && cg_utf8_is_whole(&u);
}

static uint32_t
read_length(const char *p)
{
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return ntohl(n);
}

/* False: it is no question. */
static bool
answer_frame(const struct cg_interface_calls *calls, int fd,
             struct cg_slice text, struct cg_buf *out)
{
    cg_auto(json_tree) struct cg_json_tree t = {0};
    if (!is_utf8(text) || cg_json_read(text, &t) < 0) {
        return false;
    }
    const struct cg_json_node *root = cg_json_root(&t);
    const struct cg_json_node *command = cg_json_get(&t, root, "command");
    if (root->kind != CG_JSON_OBJECT ||
        (command != NULL && command->kind != CG_JSON_STRING)) {
        return false;
    }
    size_t at = out->n;
    cg_buf_put(out, "\0\0\0\0", HEADER);
    cg_buf_puts(out, "{\"id\":");
    put_id(cg_json_get(&t, root, "id"), text, out);
    put_answer(calls, fd, &t, out);
    cg_buf_putc(out, '}');
    uint32_t n = htonl((uint32_t)(out->n - at - HEADER));
    memcpy(out->p + at, &n, HEADER);
    return true;
}

static ssize_t
converse(void *self, int fd, struct cg_slice in, struct cg_buf *reply)
{
    if (in.n < HEADER) {
        return 0;
    }
    uint32_t n = read_length(in.p);
    if (n == 0 || n > CG_INTERFACE_MOST) {
        return -1;
    }
    if (in.n - HEADER < n) {
        return 0;
    }
    struct cg_slice text = {in.p + HEADER, n};
    return answer_frame(self, fd, text, reply) ? (ssize_t)(HEADER + n) : -1;
}

struct cg_desk *
cg_interface_new(int listen_fd, const struct cg_interface_calls *calls)
{
    const struct cg_desk_kind kind = {
        .converse = converse,
        .self = (void *)(size_t)calls,
        .most_in = HEADER + CG_INTERFACE_MOST,
        .patience_ms = PATIENCE_MS,
        .idle_ms = IDLE_MS,
    };
    return cg_desk_new(listen_fd, &kind);
}
