/* SPDX-License-Identifier: MIT */
/*
 * Request head: bytes in, one validated request out. Never reads a socket,
 * never looks at a clock, knows no settings object. All positions are offsets
 * from the first byte of the request, so that the bytes may move between calls
 * (from a thread's read buffer into a connection's own).
 *
 * Our scanner validates every byte (RFC 9110, RFC 9112 and the decisions of
 * docs/http.md); http-parser then reads the same, already proven block and must
 * agree on method, framing and persistence, or the request is refused.
 *
 * The room core/http is HTTP without I/O: bytes in, meaning out (heads, bodies,
 * WebSocket frames), and back (writer.h). What always holds: no descriptor, no
 * clock, no Python; every length is bounded before it is believed. Who waits
 * for bytes and who sends them is the engine.
 */
#ifndef CG_HTTP_REQUEST_H
#define CG_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

struct cg_trust;     /* core/http/proxy/trust.h */
struct cg_head_memo; /* core/http/memo.h */

/* What is done with a field name that has an underscore (gunicorn header_map).
 */
enum cg_header_map { CG_HEADER_DROP, CG_HEADER_REFUSE, CG_HEADER_DANGEROUS };

/* One secure_scheme_headers entry: NAME in lower case, exact value. */
struct cg_scheme_rule {
    const char *name;
    const char *value;
};

/* How a head is read. Borrowed by every call; lives as long as a settings
 * generation. Names in lists are lower case. */
struct cg_head_policy {
    uint32_t limit_line;       /* request line without CRLF, 0 = limit_head */
    uint32_t limit_fields;     /* number of fields */
    uint32_t limit_field_size; /* one field with its CRLFs, 0 = limit_head */
    uint32_t limit_head;       /* all of the head, bytes; the largest of all */
    bool permit_folding;
    bool strip_header_spaces;
    bool permit_unconventional_method;
    bool permit_unconventional_version;
    bool casefold_method;
    bool allow_missing_host;
    enum cg_header_map header_map;
    const char *const *forwarder_headers; /* lower case, NULL-terminated */
    bool forwarder_any;                   /* forwarder_headers = "*" */
    const struct cg_scheme_rule *schemes; /* name == NULL ends */
};

/* The policy of gunicorn's defaults. */
extern const struct cg_head_policy cg_head_policy_default;

/* Field names that have an identity: fields.def makes enum, text and key. */
enum cg_field_id {
    CG_FIELD_OTHER,
#define CG_FIELD(ID, lower, environ_key) CG_FIELD_##ID,
#include "core/http/fields.def"
#undef CG_FIELD
    CG_FIELD_COUNT
};

struct cg_field {
    uint32_t name;    /* offset */
    uint32_t value;   /* offset, OWS trimmed */
    uint32_t value_n; /* bytes */
    uint16_t name_n;
    uint16_t id; /* enum cg_field_id */
};

struct cg_span {
    uint32_t at; /* offset from the request's first byte */
    uint32_t n;
};

/* Why a request is refused; refusals.def has status, text and log message. */
enum cg_refusal {
    CG_REFUSE_NONE,
#define CG_REFUSAL(ID, status, message) CG_REFUSE_##ID,
#include "core/http/refusals.def"
#undef CG_REFUSAL
    CG_REFUSAL_COUNT
};

/* Fields that can be told to be proven. */
enum { CG_PROVEN_MAX = 64 };

enum cg_scheme { CG_SCHEME_TRANSPORT, CG_SCHEME_HTTP, CG_SCHEME_HTTPS };

struct cg_request {
    /* state of the reader, private to request.c */
    uint8_t phase;
    uint32_t pos;      /* start of the line being read */
    uint32_t scanned;  /* offset up to which LF was searched */
    uint32_t field_at; /* start of the field that may be folded further */
    uint32_t lines;    /* fields so far, dropped ones included */
    uint8_t blank_lines;
    bool folded;         /* a folded line was joined in place */
    bool dropped_last;   /* the last field line was dropped */
    bool has_underscore; /* a field's name has one, kept or not */
    bool agreed;         /* http-parser found the same fields */
    uint16_t memo_at;    /* the memo's line that may come next */
    uint64_t proven;     /* bit i: field i is a line of the memo */

    /* result, valid after CG_HEAD_DONE */
    uint32_t head_n; /* bytes of the head, with leading CRLF and final CRLF */
    struct cg_span line;   /* request line without CRLF, for logs */
    struct cg_span method; /* see method_is_get for the common one */
    struct cg_span target; /* as received */
    struct cg_span path;   /* undecoded; "/" or absolute-form's; n may be 0 */
    struct cg_span query;  /* without '?' */
    struct cg_span authority;   /* of an absolute-form target, no userinfo */
    struct cg_span script_name; /* trusted SCRIPT_NAME field; n 0 = none */
    uint8_t minor;              /* HTTP/1.minor */
    uint8_t scheme;             /* enum cg_scheme, from trusted fields */
    bool method_is_get;
    bool method_is_head;
    bool method_is_connect;
    bool path_has_percent; /* PATH_INFO needs decoding */
    bool has_query;        /* a '?' was there */
    bool keep_alive;       /* what version and Connection ask for */
    bool chunked;
    bool force_close;     /* e.g. gzip under chunked: answer, then close */
    bool expect_continue; /* Expect: 100-continue, HTTP/1.1 */
    bool upgrade;         /* Connection: upgrade and an Upgrade field */
    bool has_length;
    uint64_t content_length;
    uint16_t nfields;
    uint16_t fields_cap;
    struct cg_field *fields; /* owned, kept over reset */

    enum cg_refusal refusal;   /* after CG_HEAD_REFUSED */
    struct cg_span refused_at; /* the offending bytes, n may be 0 */
};

enum cg_head_status { CG_HEAD_MORE, CG_HEAD_DONE, CG_HEAD_REFUSED };

/* Zeroed memory is an initialised request. reset prepares for the next head
 * and keeps the memory, release frees it. */
void cg_request_reset(struct cg_request *r);
void cg_request_release(struct cg_request *r);
/* Gives back the memory that its fields do not need; they move. */
void cg_request_fit(struct cg_request *r);
/* Moves src into dst (an initialised one, released first); src is reset. */
void cg_request_move(struct cg_request *dst, struct cg_request *src);
/* Of one that is complete: forgets its Transfer-Encoding, which is ours and not
 * the client's (HTTP/2 has none). */
void cg_request_drop_coding(struct cg_request *r);

/*
 * p[0..n) are all bytes of the request that are there, from its first one: the
 * bytes of the earlier call and more, possibly at another address. Costs linear
 * time however the bytes arrive. `trusted`: the peer is in forwarded_allow_ips.
 * After CG_HEAD_DONE the first head_n bytes belong to the head. After anything
 * but CG_HEAD_MORE the request must be reset before the next call.
 */
enum cg_head_status cg_head_read(struct cg_request *r,
                                 const struct cg_head_policy *policy,
                                 bool trusted, const char *p, size_t n);

/* The same with a memo of lines that were read before (memo.h); memo may be
 * NULL. */
enum cg_head_status cg_head_read_with(struct cg_request *r,
                                      struct cg_head_memo *memo,
                                      const struct cg_head_policy *policy,
                                      bool trusted, const char *p, size_t n);

static inline struct cg_slice
cg_span_of(const char *base, struct cg_span s)
{
    return (struct cg_slice){base + s.at, s.n};
}

/* The first field with that id, or NULL. */
const struct cg_field *cg_request_field(const struct cg_request *r,
                                        enum cg_field_id id);

/* Status code and gunicorn's message text ("Invalid HTTP Header: 'X'"),
 * with the offending bytes escaped and cut; appended to out. */
int cg_refusal_status(enum cg_refusal why);
void cg_refusal_text(const struct cg_request *r, const char *base,
                     struct cg_buf *out);
/* A short fixed name, "invalid-header", for counters and tests. */
const char *cg_refusal_name(enum cg_refusal why);

#endif
