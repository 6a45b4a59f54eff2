/* SPDX-License-Identifier: MIT */
#include "core/http/h2/h2.h"

#include "core/http/h2/internal.h"

#ifdef CG_HTTP2

#include <stdlib.h>

#include "core/base/memory.h"

enum {
    CONNECTION_WINDOW = 1024 * 1024,
};

/* ---- making and freeing ---- */

static int
make_session(struct cg_h2 *h)
{
    nghttp2_session_callbacks *callbacks = cg_h2_make_callbacks();
    nghttp2_option *option = NULL;
    int r = callbacks != NULL && nghttp2_option_new(&option) == 0 ? 0 : -1;
    if (r == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_server_fallback_rfc7540_priorities(option, 0);
        nghttp2_option_set_builtin_recv_extension_type(option,
                                                       NGHTTP2_PRIORITY_UPDATE);
        r = nghttp2_session_server_new2(&h->session, callbacks, h, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r;
}

static int
say_hello(struct cg_h2 *h)
{
    const struct cg_h2_policy *p = h->policy;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, p->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, p->window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, p->max_frame},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, p->max_list},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* the last one */
    };
    int r = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries,
                                    CG_COUNT(entries) - !p->websockets);
    return r != 0 ? r
                  : nghttp2_session_set_local_window_size(
                        h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

struct cg_h2 *
cg_h2_new(const struct cg_h2_policy *policy, const struct cg_h2_events *events,
          void *self)
{
    struct cg_h2 *h = cg_calloc(1, sizeof *h);
    h->policy = policy;
    h->events = events;
    h->self = self;
    h->frames.left = CG_H2_PREFACE;
    if (make_session(h) != 0 || say_hello(h) != 0) {
        cg_h2_free(h);
        return NULL;
    }
    return h;
}

void
cg_h2_free(struct cg_h2 *h)
{
    if (h->session != NULL) {
        while (h->streams != NULL) {
            cg_h2_free_stream(h->streams);
        }
        nghttp2_session_del(h->session);
    }
    free(h);
}

/* ---- bytes ---- */

static void
give(struct cg_h2 *h, const char *p, size_t n)
{
    ssize_t r = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n);
    if (r < 0) {
        h->fault = h->fault != NULL ? h->fault : nghttp2_strerror((int)r);
        cg_h2_terminate(h, r == NGHTTP2_ERR_FLOODED
                               ? (uint32_t)CG_H2_ENHANCE_YOUR_CALM
                               : (uint32_t)CG_H2_PROTOCOL_ERROR);
    }
}

int
cg_h2_feed(struct cg_h2 *h, const char *p, size_t n, uint64_t now_us)
{
    size_t at = 0, cut = 0, given = 0;
    int32_t id;
    cg_h2_look_at_clock(h, now_us);
    while (!h->over &&
           (id = cg_h2_next_data(&h->frames, p, n, &at, &cut)) != 0) {
        give(h, p + given, cut - given);
        given = cut;
        cg_h2_look_at_data(h, id);
    }
    if (h->over) {
        return -1;
    }
    give(h, p + given, n - given);
    cg_h2_weigh_bytes(h, n);
    return h->over ? -1 : 0;
}

ssize_t
cg_h2_pull(struct cg_h2 *h, const uint8_t **ret)
{
    return nghttp2_session_mem_send(h->session, ret);
}

bool
cg_h2_is_alive(const struct cg_h2 *h)
{
    return nghttp2_session_want_read(h->session) != 0 ||
           nghttp2_session_want_write(h->session) != 0;
}

const char *
cg_h2_fault(const struct cg_h2 *h)
{
    return h->fault;
}

/* ---- the end ---- */

void
cg_h2_notify(struct cg_h2 *h)
{
    nghttp2_submit_shutdown_notice(h->session);
}

void
cg_h2_goaway(struct cg_h2 *h)
{
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
}

void
cg_h2_terminate(struct cg_h2 *h, uint32_t code)
{
    h->over = true;
    nghttp2_session_terminate_session2(
        h->session, nghttp2_session_get_last_proc_stream_id(h->session), code);
}

bool
cg_h2_is_built(void)
{
    return true;
}

const char *
cg_h2_version(void)
{
    return NGHTTP2_VERSION;
}

#endif
