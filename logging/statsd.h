/* SPDX-License-Identifier: MIT */
/*
 * Statsd: gunicorn's metrics as datagrams. Never blocks, never fails for the
 * caller; a server that is not there costs nothing but the metrics.
 */
#ifndef CG_LOGGING_STATSD_H
#define CG_LOGGING_STATSD_H

#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct cg_statsd;

struct cg_statsd_options {
    const char *host;   /* "host:port", "[v6]:port", "unix://path" */
    const char *prefix; /* gets one dot at its end, as gunicorn's */
    const char *tags;   /* dogstatsd's, "" for none */
};

/* Where datagrams go; kind 'u': unix. */
struct cg_statsd_target {
    int is_unix;
    char host[256], port[8];
    char path[108];
};

/* gunicorn's grammar; err has its text. */
int cg_statsd_parse(const char *text, struct cg_statsd_target *ret,
                    struct cg_error *err);

/* Fails for an address that is none. A name that cannot be resolved is no
 * failure: err->code is set and its text says that no metrics are sent. */
int cg_statsd_new(const struct cg_statsd_options *o, struct cg_statsd **ret,
                  struct cg_error *err);
void cg_statsd_free(struct cg_statsd *s);

/* Each returns 0 or -errno. Any thread. */
int cg_statsd_request(struct cg_statsd *s, int status, uint64_t duration_us);
/* "<prefix><name>:1|c|@1.0" */
int cg_statsd_count(struct cg_statsd *s, const char *name);
/* "<prefix><name>:<value>|<type>" */
int cg_statsd_value(struct cg_statsd *s, const char *name, long value,
                    const char *type);
/* A message that has its prefix already; tags are added. */
int cg_statsd_send(struct cg_statsd *s, struct cg_slice message);

#endif
