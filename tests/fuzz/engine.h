/* SPDX-License-Identifier: MIT */
/* What fuzzers of an engine that runs share: a host that knows nothing, and the
 * settings of a worker that waits for everything. */
#ifndef CG_TESTS_FUZZ_ENGINE_H
#define CG_TESTS_FUZZ_ENGINE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/engine/state.h"
#include "core/http/proxy/trust.h"
#include "tests/fuzz/fuzz.h"

static inline void
fuzz_nothing(void *self)
{
}

static inline void
fuzz_refused(void *self, const struct cg_refused *why)
{
    EXPECT(why->message.n < 1024, "a message of %zu bytes", why->message.n);
}

static inline void
fuzz_trouble(void *self, const char *text)
{
    EXPECT(strlen(text) < 1024, "a line of %zu bytes", strlen(text));
}

static inline void
fuzz_hold(void *self, void *keep)
{
}

static inline void
fuzz_stalled(void *self, const struct cg_stalled *what)
{
}

static const struct cg_host fuzz_host = {
    .signals = fuzz_nothing,
    .refused = fuzz_refused,
    .trouble = fuzz_trouble,
    .report = fuzz_nothing,
    .stalled = fuzz_stalled,
};

static inline void
fuzz_listen(const char *name, struct cg_listener *ret)
{
    const struct cg_listener_options o = {.backlog = 16, .uid = -1, .gid = -1};
    struct cg_error err = {0};
    struct cg_addr addr;
    EXPECT(cg_addr_parse(name, &addr, &err) == 0 &&
               cg_listener_open(&addr, &o, ret, &err) == 0,
           "%s", err.text);
}

static inline struct cg_engine_config
fuzz_config(const struct cg_handover *queue)
{
    const uint64_t hour_us = 3600 * 1000000ull;
    return (struct cg_engine_config){
        .intake = {.head = &cg_head_policy_default,
                   .max_body = UINT64_MAX,
                   .body_memory = 200},
        .server = "fuzz",
        .response_memory = UINT64_MAX,
        .first_timeout_us = hour_us,
        .header_timeout_us = hour_us,
        .body_timeout_us = hour_us,
        .write_timeout_us = hour_us,
        .keepalive_us = hour_us,
        .max_keepalive_requests = UINT32_MAX,
        .max_connections = 20,
        .max_open = 20,
        .handover = queue,
    };
}

/* The lowest free number tells of descriptors that were left open. */
static inline void
fuzz_check_descriptors(int most)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    EXPECT(fd >= 0 && fd < most, "descriptor %d is free", fd);
    close(fd);
}

#endif
