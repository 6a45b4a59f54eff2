/* SPDX-License-Identifier: MIT */
/*
 * Totals: the counters of a worker, or of several, added up. What is read is
 * the workers' word: a broken one makes wrong numbers, nothing worse.
 */
#ifndef CG_SHARE_TOTALS_H
#define CG_SHARE_TOTALS_H

#include <stdint.h>

#include "core/share/scoreboard.h"

/* Of one class of status. */
struct cg_class_totals {
    uint64_t requests, app_us, wait_us;
    uint64_t app_hist[CG_BOARD_HIST];  /* log2 of microseconds */
    uint64_t wait_hist[CG_BOARD_HIST]; /* the same */
};

struct cg_totals {
    uint64_t requests;
    struct cg_class_totals by_class[CG_BOARD_CLASSES]; /* [2] counts 2xx */
    uint64_t bytes_out;
    uint64_t overloads, abandoned, shed;
    uint64_t shakes, shakes_failed; /* handshakes of TLS */
    uint64_t accepted, refused, given, lent, adopted, queue_full, takeovers,
        promotions, spills, spilled;
};

void cg_totals_add(struct cg_totals *t, const struct cg_slot *slot);
/* Observations of a histogram. */
uint64_t cg_hist_count(const uint64_t hist[CG_BOARD_HIST]);
/* The quantile q (0 to 1) in microseconds, straight between a bucket's bounds;
 * 0 without an observation. */
uint64_t cg_hist_quantile_us(const uint64_t hist[CG_BOARD_HIST], double q);

#endif
