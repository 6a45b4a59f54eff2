/* SPDX-License-Identifier: MIT */
/*
 * The scoreboard as the master reads it: whatever a worker writes into its
 * slot, nothing beside it changes, the text for the log is bounded and without
 * control characters, and the slot serves the next worker. What is behind the
 * slot belongs to its spool, whose lines are whole and within bounds.
 */
#include "core/base/bytes.h"
#include "core/base/memory.h"
#include "core/share/flights.h"
#include "core/share/scoreboard.h"
#include "logging/spool.h"
#include "tests/fuzz/fuzz.h"

enum { SLOTS = 3, LONGEST = 10 * 1024 };

static void
check_text(const struct cg_slot *slot, uint64_t now_us)
{
    cg_auto(buf) struct cg_buf out = {0};
    int n = cg_flights_put(&out, slot, now_us);
    EXPECT(n >= 0 && n <= CG_BOARD_EXECUTORS, "%d flights", n);
    EXPECT(out.n <= LONGEST, "%zu bytes", out.n);
    for (size_t i = 0; i < out.n; i++) {
        EXPECT((unsigned char)out.p[i] >= 0x20, "a control character");
    }
}

static void
check_look(const struct cg_slot *slot, uint64_t now_us)
{
    struct cg_slot_look look = cg_slot_look(slot);
    EXPECT(look.executors >= 0 && look.executors <= CG_BOARD_EXECUTORS, "%d",
           look.executors);
    EXPECT(look.connections >= 0, "%d", look.connections);
    EXPECT(cg_slot_silent_us(&look, now_us) <= now_us, "the future");
    cg_slot_requests(slot);
    EXPECT(cg_worker_state_word((enum cg_worker_state)look.state) != NULL,
           "no word");
}

static void
check_spool(const struct cg_spool *spool)
{
    struct cg_slice lines = cg_spool_view(spool);
    EXPECT(lines.n <= CG_SPOOL_SIZE, "%zu bytes", lines.n);
    EXPECT(lines.n == 0 || lines.p[lines.n - 1] == '\n', "half a line");
}

/* The input again and again, over what is read of a slot: its head, some of the
 * flights, the first ones and the last, and the spool. */
static void
fill(char *to, size_t n, const uint8_t *data, size_t data_n)
{
    for (size_t at = 0; at < n; at += data_n) {
        memcpy(to + at, data, n - at < data_n ? n - at : data_n);
    }
}

static void
spoil(const struct cg_scoreboard *b, struct cg_slot *slot, const uint8_t *data,
      size_t n)
{
    struct cg_flight *last = &slot->flight[CG_BOARD_EXECUTORS - 1];
    fill((char *)slot, offsetof(struct cg_slot, flight[12]), data, n);
    fill((char *)last, sizeof *last, data, n);
    fill(cg_slot_extra(b, slot), sizeof(struct cg_spool), data, n);
}

static void
check_others(const struct cg_scoreboard *b)
{
    static const struct cg_slot zeros;
    for (uint32_t i = 0; i < SLOTS; i += 2) {
        EXPECT(memcmp(cg_board_view(b, i), &zeros, sizeof zeros) == 0,
               "slot %u", i);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct cg_scoreboard *b;
    uint64_t now_us = n > 8 ? (uint64_t)data[0] << (data[1] % 57) : 1;
    if (n == 0) {
        return 0;
    }
    if (b == NULL) {
        b = cg_scoreboard_new(SLOTS, sizeof(struct cg_spool));
    }
    struct cg_slot *slot = cg_board_slot(b, 1);
    spoil(b, slot, data, n);
    check_look(slot, now_us);
    check_text(slot, now_us);
    check_spool(cg_slot_extra(b, slot));
    cg_slot_clear(slot);
    cg_slot_claim(b, slot, 1, 1);
    check_text(slot, now_us);
    EXPECT(cg_slot_look(slot).state == CG_WORKER_BOOTING, "no clean slot");
    EXPECT(cg_board_number(b, slot) == 1, "another number");
    check_others(b);
    return 0;
}
