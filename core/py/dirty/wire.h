/* SPDX-License-Identifier: MIT */
/*
 * The wire of dirty workers for Python: values as tagged bytes (TLV), frames
 * around them, and the frames that the dirty arbiter passes on. What each means
 * core/py/glue/dirty_*.py say. Numbers are big-endian; nothing is taken before
 * its length was bounded.
 */
#ifndef CG_PY_DIRTY_WIRE_H
#define CG_PY_DIRTY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/py/runtime/ref.h"

enum {
    CG_DIRTY_HEADER = 16, /* "GD", version, kind, u32 length, u64 id */
    CG_DIRTY_VERSION = 1,
    CG_DIRTY_MOST = 64 * 1024 * 1024, /* bytes of a text, of a frame */
    CG_DIRTY_ITEMS_MOST = 1048576,
    CG_DIRTY_DEPTH_MOST = 100
};

enum cg_dirty_kind {
    CG_DIRTY_REQUEST = 1,
    CG_DIRTY_RESPONSE = 2,
    CG_DIRTY_ERROR = 3,
    CG_DIRTY_CHUNK = 4,
    CG_DIRTY_END = 5
};

enum cg_dirty_tag {
    CG_DIRTY_NONE = 0x00,
    CG_DIRTY_BOOL = 0x01,
    CG_DIRTY_I64 = 0x05,
    CG_DIRTY_F64 = 0x06,
    CG_DIRTY_BYTES = 0x10,
    CG_DIRTY_TEXT = 0x11,
    CG_DIRTY_LIST = 0x20,
    CG_DIRTY_DICT = 0x21
};

struct cg_dirty_head {
    int kind;
    uint32_t length; /* of the payload */
    uint64_t request;
};

/* Of bytes that are one whole frame and nothing else; false: they are not. */
bool cg_dirty_is_frame(struct cg_slice data, struct cg_dirty_head *ret);
uint32_t cg_dirty_u32(const char *p);
/* The application of a call's frame, where clients write it: first. NULL
 * without an exception when it is not there. */
PyObject *cg_dirty_app_of(struct cg_slice frame);

/* `_cgunicorn`'s functions: of values and frames, and of the arbiter. */
extern PyMethodDef cg_dirty_wire_methods[], cg_dirty_relay_methods[];
/* Makes _cgunicorn.WireError; 0, or -1 with an exception. GIL held. */
int cg_dirty_wire_fill(PyObject *module);
int cg_dirty_relay_fill(void);

/* What is raised for bytes that are no value, and for what cannot be bytes. */
extern PyObject *cg_dirty_error;

/* Appends a value; 0, or -1 with an exception. */
int cg_dirty_put(struct cg_buf *out, PyObject *value, int depth);
/* The value at *at of data, which is moved behind it; NULL with an exception.
 */
PyObject *cg_dirty_get(struct cg_slice data, size_t *at, int depth);

#endif
