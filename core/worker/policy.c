/* SPDX-License-Identifier: MIT */
#include "core/worker/policy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/capacity.h"
#include "core/base/memory.h"
#include "core/base/tmpfile.h"
#include "core/worker/folders.h"

enum {
    GUNICORN_LINE_MAX = 8190,
    GUNICORN_FIELDS_MAX = 32768,
    GUNICORN_FIELD_SIZE = 8190,
    HEAD_MAX = 64 << 20 /* what a process would still bear of one client */
};

static char *
lower_copy(const char *s)
{
    char *copy = cg_strdup(s);
    for (char *c = copy; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + 32);
        }
    }
    return copy;
}

/* 0 is the most there is. */
static uint32_t
clamp(int64_t n, uint32_t most)
{
    return n == 0 || n > (int64_t)most ? most : (uint32_t)n;
}

static void
init_limits(struct cg_head_policy *h, const struct cg_settings *s)
{
    h->limit_head = clamp(cg_settings_int(s, CG_max_head_size), HEAD_MAX);
    int64_t line = cg_settings_int(s, CG_limit_request_line);
    h->limit_line = line == 0 ? 0 : clamp(line, GUNICORN_LINE_MAX);
    h->limit_fields =
        clamp(cg_settings_int(s, CG_limit_request_fields), GUNICORN_FIELDS_MAX);
    /* gunicorn's text says that 0 is no limit; since 25.2 it is the default */
    int64_t size = cg_settings_int(s, CG_limit_request_field_size);
    h->limit_field_size =
        size == 0 ? GUNICORN_FIELD_SIZE : clamp(size, HEAD_MAX);
    h->permit_folding = cg_settings_bool(s, CG_permit_obsolete_folding);
    h->strip_header_spaces = cg_settings_bool(s, CG_strip_header_spaces);
    h->permit_unconventional_method =
        cg_settings_bool(s, CG_permit_unconventional_http_method);
    h->permit_unconventional_version =
        cg_settings_bool(s, CG_permit_unconventional_http_version);
    h->casefold_method = cg_settings_bool(s, CG_casefold_http_method);
    h->allow_missing_host = cg_settings_bool(s, CG_allow_missing_host);
}

static enum cg_header_map
header_map(const char *word)
{
    if (word == NULL || strcasecmp(word, "refuse") == 0) {
        return CG_HEADER_REFUSE; /* None acts as "refuse", as in gunicorn */
    }
    return strcasecmp(word, "dangerous") == 0 ? CG_HEADER_DANGEROUS
                                              : CG_HEADER_DROP;
}

static void
init_forwarder(struct cg_policy *p, const struct cg_settings *s)
{
    const struct cg_value *v = cg_settings_value(s, CG_forwarder_headers);
    size_t n = v->kind == CG_VALUE_LIST ? v->list.n : 0, used = 0;
    p->forwarder = cg_calloc(n + 1, sizeof *p->forwarder);
    for (size_t i = 0; i < n; i++) {
        const char *name = v->list.items[i].s;
        if (strcmp(name, "*") == 0) {
            p->head.forwarder_any = true;
        } else {
            p->forwarder[used++] = lower_copy(name);
        }
    }
    p->head.forwarder_headers = (const char *const *)p->forwarder;
}

static void
init_schemes(struct cg_policy *p, const struct cg_settings *s)
{
    const struct cg_value *v = cg_settings_value(s, CG_secure_scheme_headers);
    size_t n = v->kind == CG_VALUE_MAP ? v->list.n / 2 : 0;
    p->schemes = cg_calloc(n + 1, sizeof *p->schemes);
    for (size_t i = 0; i < n; i++) {
        p->schemes[i].name = lower_copy(v->list.items[2 * i].s);
        p->schemes[i].value = cg_strdup(v->list.items[2 * i + 1].s);
    }
    p->head.schemes = p->schemes;
}

static int
init_trust(const struct cg_settings *s, enum cg_setting_id id,
           struct cg_trust **ret_trust, struct cg_error *err)
{
    const struct cg_value *v = cg_settings_value(s, id);
    size_t n = v->kind == CG_VALUE_LIST ? v->list.n : 0;
    const char **items = cg_calloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        items[i] = v->list.items[i].s;
    }
    int r = cg_trust_new(items, ret_trust, err);
    free(items);
    return r < 0 ? cg_error_prefix(err, "%s", cg_setting_name(id)) : 0;
}

static enum cg_proxy_mode
proxy_mode(const char *word)
{
    static const char *const words[] = {"off", "v1", "v2", "auto"};
    for (int i = 0; i < (int)CG_COUNT(words); i++) {
        if (word != NULL && strcmp(word, words[i]) == 0) {
            return (enum cg_proxy_mode)i;
        }
    }
    return CG_PROXY_OFF;
}

static uint64_t
seconds(const struct cg_settings *s, enum cg_setting_id id)
{
    return (uint64_t)cg_settings_int(s, id) * 1000000u;
}

/* 0 in a setting is no limit, and so is the largest number. */
static uint64_t
bound(const struct cg_settings *s, enum cg_setting_id id, uint64_t most)
{
    uint64_t n = (uint64_t)cg_settings_int(s, id);
    return n == 0 || n > most ? most : n;
}

/* 0 in a setting: this worker's part of what there is. */
static uint64_t
share(const struct cg_settings *s, enum cg_setting_id id, uint64_t all,
      uint64_t least)
{
    int64_t n = cg_settings_int(s, id);
    int64_t workers = cg_settings_int(s, CG_workers);
    uint64_t part = all / (uint64_t)(workers > 0 ? workers : 1);
    return n != 0 ? (uint64_t)n : part > least ? part : least;
}

static void
init_budget(struct cg_budget *b, const struct cg_settings *s)
{
    enum { MEMORY_LEAST = 16 << 20, DISK_LEAST = 256 << 20 };
    const char *dir = cg_tmpfile_dir(cg_settings_str(s, CG_tmp_upload_dir));
    uint64_t free = cg_capacity_disk(dir);
    b->memory.most =
        share(s, CG_request_memory, cg_capacity_memory("") / 4, MEMORY_LEAST);
    b->disk.most = share(s, CG_request_disk,
                         free != 0 ? free / 2 : UINT64_MAX / 2, DISK_LEAST);
}

static void
init_body(struct cg_engine_config *e, const struct cg_settings *s)
{
    enum { GRACE_US = 20 * 1000 * 1000 };
    e->intake.body_memory = (size_t)cg_settings_int(s, CG_request_buffer_size);
    e->intake.tmp_dir = cg_settings_str(s, CG_tmp_upload_dir);
    e->intake.max_body = bound(s, CG_max_request_body, UINT64_MAX);
    e->spill.max = (uint64_t)cg_settings_int(s, CG_response_file_size);
    e->response_memory = bound(s, CG_response_memory, UINT64_MAX);
    e->spill.dir = cg_settings_str(s, CG_tmp_upload_dir);
    e->streaming = !cg_settings_bool(s, CG_request_buffering);
    e->body_timeout_us = seconds(s, CG_body_timeout);
    e->body_min_rate = (uint64_t)cg_settings_int(s, CG_body_min_rate);
    e->body_grace_us = e->body_timeout_us != 0 && e->body_timeout_us < GRACE_US
                           ? e->body_timeout_us
                           : GRACE_US;
}

/* Often enough that a worker which lives is never silent for `timeout`. */
static uint64_t
beat(const struct cg_settings *s)
{
    enum { BEAT_US = 1000 * 1000 };
    uint64_t share = seconds(s, CG_timeout) / 4;
    return share != 0 && share < BEAT_US ? share : BEAT_US;
}

/* Borrowed from the settings; "" for none. */
static struct cg_slice
text_of(const struct cg_settings *s, enum cg_setting_id id)
{
    const char *text = cg_settings_str(s, id);
    return cg_slice_of(text != NULL ? text : "");
}

static enum cg_cleartext
cleartext(const char *word)
{
    static const char *const words[] = {
        [CG_CLEARTEXT_OFF] = "off",
        [CG_CLEARTEXT_PRIOR] = "prior-knowledge",
        [CG_CLEARTEXT_UPGRADE] = "upgrade",
        [CG_CLEARTEXT_BOTH] = "both",
    };
    for (size_t i = 0; word != NULL && i < CG_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return (enum cg_cleartext)i;
        }
    }
    return CG_CLEARTEXT_OFF;
}

static void
init_http2(struct cg_policy *p, const struct cg_settings *s)
{
    enum { LIST_MAX = 65536 };
    uint64_t list = bound(s, CG_http2_max_header_list_size, UINT32_MAX);
    if (!cg_settings_offer_h2(s) || !cg_h2_is_built()) {
        return;
    }
    p->http2 = (struct cg_h2_policy){
        .max_streams =
            (uint32_t)bound(s, CG_http2_max_concurrent_streams, INT32_MAX),
        .window = (uint32_t)cg_settings_int(s, CG_http2_initial_window_size),
        .max_frame = (uint32_t)cg_settings_int(s, CG_http2_max_frame_size),
        .max_list = list == UINT32_MAX ? LIST_MAX : (uint32_t)list,
    };
    p->engine.http2 = &p->http2;
    p->engine.cleartext = cleartext(cg_settings_str(s, CG_http2_cleartext));
}

static void
init_overload(struct cg_policy *p, const struct cg_settings *s)
{
    const struct cg_value *v = cg_settings_value(s, CG_overload_exempt);
    const char *word = cg_settings_str(s, CG_overload);
    struct cg_engine_config *e = &p->engine;
    size_t n = v->kind == CG_VALUE_LIST ? v->list.n : 0;
    p->exempt = cg_calloc(n + 1, sizeof *p->exempt);
    for (size_t i = 0; i < n; i++) {
        p->exempt[i] = cg_slice_of(v->list.items[i].s);
    }
    e->exempt = p->exempt;
    e->exempt_n = (int)n;
    e->newest_first = word == NULL || strcmp(word, "off") != 0;
    e->max_queue_us = cg_settings_us(s, CG_max_queue_time);
    e->abandoned_us = cg_settings_us(s, CG_abandoned_after);
}

static void
init_engine(struct cg_policy *p, const struct cg_settings *s,
            const char *server)
{
    struct cg_engine_config *e = &p->engine;
    e->intake.head = &p->head;
    init_budget(&p->budget, s);
    e->intake.budget = &p->budget;
    init_body(e, s);
    init_overload(p, s);
    e->trust = p->trust;
    e->proxy_mode = proxy_mode(cg_settings_str(s, CG_proxy_protocol));
    e->proxy_trust = p->proxy_trust;
    e->uwsgi_trust = cg_settings_is_uwsgi(s) ? p->uwsgi_trust : NULL;
    e->server = server;
    e->health = (struct cg_health_policy){
        .live = text_of(s, CG_health_path),
        .ready = text_of(s, CG_ready_path),
        .timeout_us = (uint64_t)cg_settings_int(s, CG_timeout) * 1000000};
    e->request_id = (struct cg_request_id_policy){
        .field = text_of(s, CG_request_id),
        .reply = cg_settings_bool(s, CG_request_id_response)};
    e->header_timeout_us = seconds(s, CG_header_timeout);
    e->first_timeout_us = e->header_timeout_us / 2; /* 15 s by default */
    e->write_timeout_us = seconds(s, CG_write_timeout);
    e->request_timeout_us = seconds(s, CG_request_timeout);
    e->slow_request_us = cg_settings_us(s, CG_slow_request);
    e->keepalive_us = seconds(s, CG_keepalive);
    e->beat_us = beat(s);
    e->max_keepalive_requests =
        (uint32_t)bound(s, CG_max_keepalive_requests, UINT32_MAX);
    int64_t most = cg_settings_int(s, CG_worker_connections);
    e->max_connections = most > 0 && most < 1000000 ? (int)most : 1000000;
    p->max_in_flight = e->max_connections;
}

int
cg_policy_init(struct cg_policy *p, const struct cg_settings *s,
               const char *server, struct cg_error *err)
{
    *p = (struct cg_policy){.head = cg_head_policy_default};
    init_limits(&p->head, s);
    p->head.header_map = header_map(cg_settings_str(s, CG_header_map));
    init_forwarder(p, s);
    init_schemes(p, s);
    int r = init_trust(s, CG_forwarded_allow_ips, &p->trust, err);
    if (r == 0) {
        r = init_trust(s, CG_proxy_allow_ips, &p->proxy_trust, err);
    }
    if (r == 0) {
        r = init_trust(s, CG_uwsgi_allow_ips, &p->uwsgi_trust, err);
    }
    if (r == 0) {
        r = cg_folders_open(s, &p->files, err);
    }
    if (r < 0) {
        cg_policy_release(p);
        return r;
    }
    init_engine(p, s, server);
    init_http2(p, s);
    p->engine.files = p->files;
    return 0;
}

void
cg_policy_release(struct cg_policy *p)
{
    for (size_t i = 0; p->forwarder != NULL && p->forwarder[i] != NULL; i++) {
        free(p->forwarder[i]);
    }
    free(p->forwarder);
    free(p->exempt);
    for (size_t i = 0; p->schemes != NULL && p->schemes[i].name != NULL; i++) {
        free((void *)(size_t)p->schemes[i].name);
        free((void *)(size_t)p->schemes[i].value);
    }
    free(p->schemes);
    cg_trust_free(p->trust);
    cg_trust_free(p->proxy_trust);
    cg_trust_free(p->uwsgi_trust);
    cg_folders_close(p->files);
    *p = (struct cg_policy){0};
}
