/* SPDX-License-Identifier: MIT */
/*
 * Intake: a request that did not arrive in one piece. Holds the bytes of its
 * head, the reader's state and the body so far (memory first, then an unlinked
 * temporary file, which also takes what memory has no room for). Exists only
 * while such a request is under way, so an idle connection costs none of it.
 */
#ifndef CG_ENGINE_INTAKE_H
#define CG_ENGINE_INTAKE_H

#include "core/base/error.h"
#include "core/engine/conn/budget.h"
#include "core/exchange/exchange.h"
#include "core/http/chunk.h"
#include "core/http/request.h"

struct cg_intake_policy {
    const struct cg_head_policy *head;
    uint64_t max_body;        /* bytes of a body, UINT64_MAX: no limit */
    size_t body_memory;       /* bytes of a body kept in memory */
    const char *tmp_dir;      /* for bodies beyond that; NULL: TMPDIR or /tmp */
    struct cg_budget *budget; /* of all intakes; NULL: any */
    bool streams; /* bodies are taken away as they come: any size fits */
};

struct cg_intake {
    struct cg_buf head; /* bytes of the head (and, before it ends, what came) */
    struct cg_request req;
    struct cg_chunks chunks;
    struct cg_buf body;       /* in memory, until it is in the file */
    uint64_t body_n;          /* bytes of the body so far */
    uint64_t body_left;       /* of Content-Length */
    struct cg_budget *budget; /* what it holds is taken from */
    uint64_t memory_n, disk_n;
    uint32_t skipped;  /* bytes read away after the response; the engine's */
    uint64_t since_us; /* when the wait for the body began; the engine's */
    int body_fd;       /* the file, -1 while in memory */
    bool head_done;
    bool done;       /* so is the body */
    bool continued;  /* 100 Continue was sent, or must not be */
    char fault[256]; /* why no more of it can be read, as its executor tells */
};

enum cg_intake_status {
    CG_INTAKE_MORE,
    CG_INTAKE_COMPLETE,
    CG_INTAKE_REFUSED, /* cg_intake_refusal */
    CG_INTAKE_FAILED   /* it cannot be stored: err */
};

struct cg_intake *cg_intake_new(void);
void cg_intake_free(struct cg_intake *i);
/* Takes over a head that is already read: p[0..req->head_n). req is reset. */
void cg_intake_take_head(struct cg_intake *i, struct cg_request *req,
                         const char *p);
/* Takes over a partial head: p[0..n) and the reader's state. */
void cg_intake_take_part(struct cg_intake *i, struct cg_request *req,
                         const char *p, size_t n);

/* What it has in memory counts in the budget. A negative errno, told by err:
 * there is no room for that. */
int cg_intake_charge(struct cg_intake *i, const struct cg_intake_policy *policy,
                     struct cg_error *err);
/* The same of a request that is complete and waits for its turn, whatever room
 * there is: others find less. */
void cg_intake_count(struct cg_intake *i,
                     const struct cg_intake_policy *policy);
/* Takes over a complete request that another worker has read: its head, as in
 * cg_intake_take_head, and its body, whose file is i's from here on. A negative
 * errno, told by err: there is no room for it. */
int cg_intake_adopt(struct cg_intake *i, const struct cg_intake_policy *policy,
                    struct cg_request *req, const char *head,
                    struct cg_body body, struct cg_error *err);
/* Why a body of n bytes is refused whatever else there is; 0: it is not. */
enum cg_refusal cg_intake_too_large(const struct cg_intake_policy *policy,
                                    uint64_t n);

/* Feeds bytes; *used are the request's own. */
enum cg_intake_status cg_intake_feed(struct cg_intake *i,
                                     const struct cg_intake_policy *policy,
                                     bool trusted, const char *p, size_t n,
                                     size_t *used, struct cg_error *err);
/* Room to receive body bytes into directly (Content-Length, in memory); NULL
 * when they must come through cg_intake_feed. *n is how many may come. */
char *cg_intake_room(struct cg_intake *i, const struct cg_intake_policy *policy,
                     size_t *n);
/* n bytes were received into the room. */
enum cg_intake_status cg_intake_filled(struct cg_intake *i, size_t n);

struct cg_body cg_intake_body(const struct cg_intake *i);
/* The same limits with all of a body in memory: of one that is taken away as
 * soon as it is decoded. */
struct cg_intake_policy cg_intake_in_memory(
    const struct cg_intake_policy *policy);

#endif
