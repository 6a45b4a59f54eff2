/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/companion.h"

enum {
    QUICK_MS = 5000, /* an end within this after the start is a quick one */
    PAUSE_MS = 1000, /* after the first of them; doubled by each in a row */
    PAUSE_MAX_MS = 60 * 1000
};

const char *
cg_companion_word(enum cg_companion_state s)
{
    static const char *const words[] = {
#define X(id, word) word,
        CG_COMPANION_STATES(X)
#undef X
    };
    return words[s];
}

enum cg_companion_action
cg_companion_due(struct cg_companion_life *l, bool may_start, uint64_t now_ms)
{
    switch (l->state) {
    case COMPANION_WAITING:
        return may_start && now_ms >= l->start_at_ms ? COMPANION_START
                                                     : COMPANION_NOTHING;
    case COMPANION_STOPPING:
        if (l->kill_at_ms != 0 && now_ms >= l->kill_at_ms) {
            l->kill_at_ms = 0;
            return COMPANION_KILL;
        }
        return COMPANION_NOTHING;
    case COMPANION_RUNNING:
    case COMPANION_GONE: return COMPANION_NOTHING;
    }
    return COMPANION_NOTHING;
}

void
cg_companion_started(struct cg_companion_life *l, uint64_t now_ms)
{
    l->state = COMPANION_RUNNING;
    l->born_ms = now_ms;
    l->starts++;
}

static uint64_t
pause_ms(int quick)
{
    uint64_t ms = PAUSE_MS;
    for (int i = 1; i < quick && ms < PAUSE_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

uint64_t
cg_companion_ended(struct cg_companion_life *l, uint64_t now_ms)
{
    bool was_told = l->state == COMPANION_STOPPING;
    bool was_quick =
        l->state == COMPANION_WAITING || now_ms - l->born_ms < QUICK_MS;
    l->quick = was_told || !was_quick ? 0 : l->quick + 1;
    l->state = l->dismissed ? COMPANION_GONE : COMPANION_WAITING;
    l->start_at_ms = was_told ? now_ms : now_ms + pause_ms(l->quick);
    return was_told || l->dismissed ? 0 : l->start_at_ms - now_ms;
}

bool
cg_companion_stop(struct cg_companion_life *l, bool dismiss,
                  uint64_t patience_ms, uint64_t now_ms)
{
    l->dismissed = l->dismissed || dismiss;
    switch (l->state) {
    case COMPANION_WAITING:
        /* what it waits for may have been mended */
        l->start_at_ms = now_ms;
        l->quick = 0;
        l->state = l->dismissed ? COMPANION_GONE : COMPANION_WAITING;
        return false;
    case COMPANION_RUNNING:
        l->state = COMPANION_STOPPING;
        l->kill_at_ms = now_ms + patience_ms;
        return true;
    case COMPANION_STOPPING:
        if (l->kill_at_ms > now_ms + patience_ms) {
            l->kill_at_ms = now_ms + patience_ms;
        }
        return false;
    case COMPANION_GONE: return false;
    }
    return false;
}

int
cg_companion_patience(const struct cg_companion_life *l, bool may_start,
                      uint64_t now_ms)
{
    uint64_t at = l->state == COMPANION_WAITING && may_start ? l->start_at_ms
                  : l->state == COMPANION_STOPPING           ? l->kill_at_ms
                                                             : 0;
    if (at == 0 && (l->state != COMPANION_WAITING || !may_start)) {
        return -1;
    }
    return at <= now_ms                        ? 0
           : at - now_ms > (uint64_t)INT32_MAX ? INT32_MAX
                                               : (int)(at - now_ms);
}
