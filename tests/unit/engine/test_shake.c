/* SPDX-License-Identifier: MIT */
/* Handshakes, which let others turn the loop meanwhile: who has it after one
 * that relief made. The transport shakes hands over one byte, as long as the
 * test wants. */
#include "core/engine/conn/shake.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/narrow.h"
#include "tests/unit/engine/world.h"

static struct world w;
static _Atomic int shaking, go_on;

static void
until(bool (*holds)(void), const char *what)
{
    uint64_t end = cg_now_us() + 30 * 1000000u;
    while (!holds()) {
        ck_assert_msg(cg_now_us() < end, "still not: %s", what);
        sched_yield();
    }
}

static uint32_t
word(void)
{
    return atomic_load(&w.worker[0].engine->baton.word);
}

static bool
may_go_on(void)
{
    return atomic_load(&go_on) != 0;
}

static bool
executor_waits(void)
{
    uint32_t now = word();
    return cg_baton_state(now) == BATON_WAIT && cg_baton_owner(now) != RELIEF;
}

static uint32_t before;

static bool
executor_waits_again(void)
{
    return word() != before && executor_waits();
}

static enum cg_shaken
slow_shake(struct cg_transport *t, const char *p, size_t n,
           const char **ret_why)
{
    char byte;
    if (recv(t->fd, &byte, 1, MSG_DONTWAIT) != 1) {
        return CG_SHAKEN_MORE;
    }
    atomic_store(&shaking, 1);
    until(may_go_on, "the handshake may go on");
    return CG_SHAKEN_DONE;
}

static ssize_t
send_all(struct cg_transport *t, const struct iovec *parts, int count,
         bool more)
{
    ssize_t n = writev(t->fd, parts, count);
    return n >= 0 ? n : cg_transport_not_now();
}

static struct cg_transport_state *
make(const struct cg_transport_maker *maker, int listener)
{
    static const struct cg_transport_kind kind = {
        .shake = slow_shake,
        .receive = narrow_receive,
        .send = send_all,
        .say_end = narrow_say_end,
        .release = narrow_release,
    };
    static const struct cg_secure facts = {.protocol = "", .cipher = ""};
    struct narrow *m = cg_calloc(1, sizeof *m);
    m->state.kind = &kind;
    m->state.secure = &facts;
    return &m->state;
}

/* Relief shakes hands while the executor is in a call; that comes back and
 * waits for events, before relief takes the loop back. */
START_TEST(relief_gives_back_the_loop_that_it_took_after_a_handshake)
{
    static const struct cg_transport_maker maker = {make};
    memset(&w, 0, sizeof w);
    w.transports = &maker;
    atomic_store(&shaking, 0);
    atomic_store(&go_on, 1);
    world_start_set(&w, 1, 1);
    int late = client_connect(&w), fd = client_connect(&w);
    client_send(fd, "!GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(client_read(fd), "ok 0");
    atomic_store(&go_on, 0);
    atomic_store(&shaking, 0);
    client_send(fd, "GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&w.worker[0].blocked, 1);
    wait_for_count(&cg_board_slot(w.board, 0)->takeovers, 1);
    client_send(late, "!");
    wait_for(&shaking, 1);
    world_unblock(&w);
    ck_assert_str_eq(client_read(fd), "ok 0");
    until(executor_waits, "the executor waits for events");
    before = word();
    atomic_store(&go_on, 1);
    until(executor_waits_again, "it has the loop again");
    ck_assert_str_eq(client_get(late, "/"), "ok 0");
    close(late);
    close(fd);
    world_stop(&w);
}
END_TEST

TESTS("shake", relief_gives_back_the_loop_that_it_took_after_a_handshake)
