/* SPDX-License-Identifier: MIT */
/*
 * Metrics: the text of a scrape, as OpenMetrics 1.0 or in Prometheus' older
 * format, which differ in how counters and units are declared. Families come
 * one after another, each begun once.
 */
#ifndef CG_CONTROL_METRICS_H
#define CG_CONTROL_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/share/totals.h"

struct cg_metrics {
    struct cg_buf *out; /* borrowed */
    bool open;          /* OpenMetrics */
    const char *family; /* the current one's name */
    bool is_counter;
};

enum cg_metric_type { CG_METRIC_GAUGE, CG_METRIC_COUNTER, CG_METRIC_HISTOGRAM };

/* name without the suffix _total; unit is its end, or "". */
void cg_metrics_family(struct cg_metrics *m, enum cg_metric_type type,
                       const char *name, const char *unit, const char *help);
/* A sample of the family; label NULL: none. */
void cg_metrics_put(struct cg_metrics *m, const char *label, const char *value,
                    uint64_t n);
/* A family of one sample. */
void cg_metrics_one(struct cg_metrics *m, enum cg_metric_type type,
                    const char *name, const char *unit, const char *help,
                    uint64_t n);
/* A part of a family of histograms in seconds, of microseconds. */
void cg_metrics_histogram(struct cg_metrics *m, const char *label,
                          const char *value, const uint64_t hist[CG_BOARD_HIST],
                          uint64_t sum_us);
void cg_metrics_end(struct cg_metrics *m);

#endif
