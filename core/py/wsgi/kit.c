/* SPDX-License-Identifier: MIT */
#include "core/py/wsgi/kit.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "core/py/request/input.h"
#include "core/py/request/socket.h"
#include "core/py/runtime/held.h"
#include "core/py/wsgi/bridge.h"
#include "core/py/wsgi/reply.h"

static PyObject *
new_input(struct cg_wsgi *w)
{
    PyObject *self = w->input_type->tp_alloc(w->input_type, 0);
    if (self != NULL) {
        ((InputObject *)self)->loop = w->o->loop;
    }
    return self;
}

static struct cg_kit *
new_kit(struct cg_wsgi *w, struct cg_lane *lane)
{
    struct cg_kit *kit = cg_calloc(1, sizeof *kit);
    kit->wsgi = w;
#ifdef Py_GIL_DISABLED
    kit->lane = lane;
#endif
    kit->input = new_input(w);
    kit->reply = cg_wsgi_reply_new(w->reply_type, w->o);
    if (kit->reply != NULL) {
        kit->socket = cg_socket_new(w->socket_type, kit->reply);
        kit->start_response =
            cg_wsgi_reply_method(kit->reply, CG_REPLY_START_RESPONSE);
        kit->write = cg_wsgi_reply_method(kit->reply, CG_REPLY_WRITE);
        kit->early_hints =
            cg_wsgi_reply_method(kit->reply, CG_REPLY_EARLY_HINTS);
    }
    if (kit->input == NULL || kit->socket == NULL ||
        kit->start_response == NULL || kit->write == NULL ||
        kit->early_hints == NULL) {
        cg_kit_free(kit);
        return NULL;
    }
    return kit;
}

void
cg_kit_free(struct cg_kit *kit)
{
    Py_XDECREF(kit->early_hints);
    Py_XDECREF(kit->write);
    Py_XDECREF(kit->start_response);
    Py_XDECREF(kit->reply);
    Py_XDECREF(kit->socket);
    Py_XDECREF(kit->input);
    free(kit);
}

/* Nobody but the kit holds its objects: methods and socket hold the reply. */
static bool
is_free(const struct cg_kit *kit)
{
    return py_is_only(kit->input, 1) && py_is_only(kit->reply, 5) &&
           py_is_only(kit->socket, 1) && cg_socket_is_fresh(kit->socket) &&
           py_is_only(kit->start_response, 1) && py_is_only(kit->write, 1) &&
           py_is_only(kit->early_hints, 1);
}

struct cg_kit *
cg_kit_take(struct cg_wsgi *w, struct cg_exchange *ex)
{
    struct cg_lane *lane = cg_lane_of(w);
    struct cg_kit *kit = NULL;
    if (__builtin_expect(lane != NULL, 1)) {
        kit = lane->nkits > 0 ? lane->kits[--lane->nkits] : new_kit(w, lane);
    }
    if (kit == NULL) {
        return NULL;
    }
    ReplyObject *reply = (ReplyObject *)kit->reply;
    kit->ex = ex;
    kit->handled = false;
    cg_wsgi_input_begin((InputObject *)kit->input, ex);
    reply->ex = ex;
    reply->write = kit->write;
    reply->failed = reply->enough = reply->over = false;
    return kit;
}

/* Threads of the application's that still have one of them find it over. */
static void
end(struct cg_kit *kit)
{
    ReplyObject *reply = (ReplyObject *)kit->reply;
    cg_wsgi_input_end((InputObject *)kit->input);
    py_held(reply);
    reply->ex = NULL;
    reply->write = NULL;
    cg_wsgi_reply_turn(reply);
    cg_wsgi_reply_drop_trailers(reply);
    kit->ex = NULL;
}

void
cg_kit_give(struct cg_kit *kit)
{
    struct cg_lane *lane = cg_kit_lane(kit);
    end(kit);
    if (lane->nkits < CG_KITS && is_free(kit)) {
        lane->kits[lane->nkits++] = kit;
    } else {
        cg_kit_free(kit);
    }
}
