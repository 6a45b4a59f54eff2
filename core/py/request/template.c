/* SPDX-License-Identifier: MIT */
#include "core/py/request/template.h"

#include <string.h>

#include "core/base/uuid.h"
#include "core/py/runtime/held.h"

void
cg_template_release(struct cg_template *t)
{
    Py_CLEAR(t->dict);
    Py_CLEAR(t->id);
}

/* A str of ASCII has its characters behind it. Nearly all ids are as long as
 * those that we make. */
static inline __attribute__((always_inline)) void
put_text(PyObject *str, struct cg_slice text)
{
    char *to = (char *)((PyASCIIObject *)str + 1);
    if (text.n == CG_UUID_SIZE) {
        memcpy(to, text.p, CG_UUID_SIZE);
    } else {
        memcpy(to, text.p, text.n);
    }
}

/*
 * Whether the last request's str can be this one's. What PyUnicode_WriteChar
 * asks for: that nobody else has it, and that it was never hashed (so it is not
 * interned either). And that it has no second form, as old Pythons keep one.
 */
static inline bool
can_be_written(const struct cg_template *t, size_t n)
{
    if (t->id == NULL || !py_is_only(t->id, 2)) { /* ours, and the dict's */
        return false;
    }
    const PyASCIIObject *str = (const PyASCIIObject *)t->id;
#if PY_VERSION_HEX < 0x030C0000
    if (str->wstr != NULL) {
        return false;
    }
#endif
    return str->hash == -1 && (size_t)str->length == n;
}

static __attribute__((noinline)) int
put_new_id(struct cg_template *t, PyObject *key, struct cg_slice id)
{
    PyObject *made = PyUnicode_New((Py_ssize_t)id.n, 127);
    if (made == NULL) {
        return -1;
    }
    put_text(made, id);
    Py_XSETREF(t->id, made);
    return PyDict_SetItem(t->dict, key, made);
}

PyObject *
cg_template_copy_named(struct cg_template *t, PyObject *key, struct cg_slice id)
{
    if (__builtin_expect(can_be_written(t, id.n), 1)) {
        put_text(t->id, id);
    } else if (put_new_id(t, key, id) < 0) {
        return NULL;
    }
    return PyDict_Copy(t->dict);
}
