/* SPDX-License-Identifier: MIT */
#include "core/share/totals.h"

#define RELAXED memory_order_relaxed

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, RELAXED);
}

static void
add_class(struct cg_class_totals *t, const struct cg_class_counts *c)
{
    t->requests += get(&c->requests);
    t->app_us += get(&c->app_us);
    t->wait_us += get(&c->wait_us);
    for (int i = 0; i < CG_BOARD_HIST; i++) {
        t->app_hist[i] += get(&c->app_hist[i]);
        t->wait_hist[i] += get(&c->wait_hist[i]);
    }
}

static void
add_flight(struct cg_totals *t, const struct cg_flight *f)
{
    t->requests += get(&f->requests);
    t->bytes_out += get(&f->bytes_out);
    for (int i = 0; i < CG_BOARD_CLASSES; i++) {
        add_class(&t->by_class[i], &f->by_class[i]);
    }
}

void
cg_totals_add(struct cg_totals *t, const struct cg_slot *slot)
{
    int executors = cg_slot_look(slot).executors;
    t->accepted += get(&slot->accepted);
    t->refused += get(&slot->refused);
    t->overloads += get(&slot->overloads);
    t->abandoned += get(&slot->abandoned);
    t->shed += get(&slot->shed);
    t->shakes += get(&slot->shakes);
    t->shakes_failed += get(&slot->shakes_failed);
    t->given += get(&slot->given);
    t->lent += get(&slot->lent);
    t->adopted += get(&slot->adopted);
    t->queue_full += get(&slot->queue_full);
    t->takeovers += get(&slot->takeovers);
    t->promotions += get(&slot->promotions);
    t->spills += get(&slot->spills);
    t->spilled += get(&slot->spilled);
    for (int i = 0; i < executors; i++) {
        add_flight(t, &slot->flight[i]);
    }
}

/* ---- histograms: bucket k has what is below 2^k and not below 2^(k-1) ---- */

static double
low_of(int bucket)
{
    return bucket == 0 ? 0 : (double)(1ULL << (bucket - 1));
}

static double
high_of(int bucket)
{
    return (double)(1ULL << bucket);
}

uint64_t
cg_hist_count(const uint64_t hist[CG_BOARD_HIST])
{
    uint64_t n = 0;
    for (int i = 0; i < CG_BOARD_HIST; i++) {
        n += hist[i];
    }
    return n;
}

uint64_t
cg_hist_quantile_us(const uint64_t hist[CG_BOARD_HIST], double q)
{
    double n = (double)cg_hist_count(hist), rank = q * n, below = 0;
    for (int i = 0; i < CG_BOARD_HIST && n > 0; i++) {
        double here = (double)hist[i];
        if (here > 0 && below + here >= rank) {
            double part = (rank - below) / here;
            return (uint64_t)(low_of(i) + part * (high_of(i) - low_of(i)) +
                              0.5);
        }
        below += here;
    }
    return 0;
}
