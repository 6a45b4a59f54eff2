/* SPDX-License-Identifier: MIT */
#include "core/control/metrics.h"

#include <inttypes.h>
#include <string.h>

/* Buckets from 64 us to 67 s; what is beyond is in the ends. */
enum { FIRST_BUCKET = 6, LAST_BUCKET = 26 };

static const char *
type_word(enum cg_metric_type type)
{
    switch (type) {
    case CG_METRIC_GAUGE: return "gauge";
    case CG_METRIC_COUNTER: return "counter";
    case CG_METRIC_HISTOGRAM: return "histogram";
    }
    return "";
}

void
cg_metrics_family(struct cg_metrics *m, enum cg_metric_type type,
                  const char *name, const char *unit, const char *help)
{
    m->family = name;
    m->is_counter = type == CG_METRIC_COUNTER;
    const char *suffix = m->is_counter && !m->open ? "_total" : "";
    cg_buf_putf(m->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help,
                name, suffix, type_word(type));
    if (m->open && *unit != '\0') {
        cg_buf_putf(m->out, "# UNIT %s %s\n", name, unit);
    }
}

/* A label's value: backslash, quote and newline are escaped (both formats). */
static void
put_value(struct cg_buf *out, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '\\' || c == '"') {
            cg_buf_putc(out, '\\');
            cg_buf_putc(out, *s);
        } else if (c < 0x20 || c >= 0x7f) {
            cg_buf_putc(out, '?');
        } else {
            cg_buf_putc(out, *s);
        }
    }
}

void
cg_metrics_put(struct cg_metrics *m, const char *label, const char *value,
               uint64_t n)
{
    cg_buf_putf(m->out, "%s%s", m->family, m->is_counter ? "_total" : "");
    if (label != NULL) {
        cg_buf_putf(m->out, "{%s=\"", label);
        put_value(m->out, value);
        cg_buf_puts(m->out, "\"}");
    }
    cg_buf_putf(m->out, " %" PRIu64 "\n", n);
}

void
cg_metrics_one(struct cg_metrics *m, enum cg_metric_type type, const char *name,
               const char *unit, const char *help, uint64_t n)
{
    cg_metrics_family(m, type, name, unit, help);
    cg_metrics_put(m, NULL, NULL, n);
}

static void
put_seconds(struct cg_buf *out, uint64_t us)
{
    cg_buf_putf(out, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

void
cg_metrics_histogram(struct cg_metrics *m, const char *label, const char *value,
                     const uint64_t hist[CG_BOARD_HIST], uint64_t sum_us)
{
    const char *name = m->family;
    uint64_t below = 0;
    for (int i = 0; i <= LAST_BUCKET; i++) {
        below += hist[i];
        if (i >= FIRST_BUCKET) {
            cg_buf_putf(m->out, "%s_bucket{%s=\"%s\",le=\"", name, label,
                        value);
            put_seconds(m->out, 1ULL << i);
            cg_buf_putf(m->out, "\"} %" PRIu64 "\n", below);
        }
    }
    for (int i = LAST_BUCKET + 1; i < CG_BOARD_HIST; i++) {
        below += hist[i];
    }
    cg_buf_putf(m->out,
                "%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64
                "\n%s_sum{%s=\"%s\"} ",
                name, label, value, below, name, label, value);
    put_seconds(m->out, sum_us);
    cg_buf_putf(m->out, "\n%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label,
                value, below);
}

void
cg_metrics_end(struct cg_metrics *m)
{
    if (m->open) {
        cg_buf_puts(m->out, "# EOF\n");
    }
}
