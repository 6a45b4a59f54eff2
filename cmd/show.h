/* SPDX-License-Identifier: MIT */
/* Show: a server's answers as text for people. */
#ifndef CG_CMD_SHOW_H
#define CG_CMD_SHOW_H

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/control/json.h"

struct cg_screen {
    struct cg_buf *out;
    int width;   /* of a line; 0: any */
    bool colour; /* the terminal takes it, and the user wants it */
};

/* For this process's standard output. */
struct cg_screen cg_screen_of_stdout(struct cg_buf *out);

/* What `top` remembers between two looks. */
struct cg_top_view {
    char sort; /* by p id, r equests, c pu, m emory, or a ge of the request */
    int row;   /* the chosen one; kept within the rows */
    int pid;   /* of its worker, 0: none */
};

void cg_show_top(struct cg_screen *s, const struct cg_json_tree *t,
                 struct cg_top_view *view);
void cg_show_status(struct cg_screen *s, const struct cg_json_tree *t);
/* The requests in flight, oldest first. */
void cg_show_requests(struct cg_screen *s, const struct cg_json_tree *t);
void cg_show_events(struct cg_screen *s, const struct cg_json_tree *t);
void cg_show_deaths(struct cg_screen *s, const struct cg_json_tree *t);
void cg_show_stacks(struct cg_screen *s, const struct cg_json_tree *t);

#endif
