/* SPDX-License-Identifier: MIT */
#include "core/net/openssl.h"

#include <dlfcn.h>
#include <errno.h>

#include "core/base/memory.h"

struct cg_openssl cg_openssl;

/* Where a function's name is and where its address goes. */
struct entry {
    const char *name;
    size_t offset;
    int needed;
};

static const struct entry entries[] = {
#define X(result, name, parameters)                                            \
    {#name, offsetof(struct cg_openssl, name), 1},
    CG_OPENSSL_FUNCTIONS(X)
#undef X
#define X(result, name, parameters)                                            \
    {#name, offsetof(struct cg_openssl, name), 0},
        CG_OPENSSL_PERHAPS(X)
#undef X
};

int
cg_openssl_load(const char *module, struct cg_error *err)
{
    struct cg_openssl table;
    /* it is loaded: this only asks for its handle, whose search goes through
     * the libraries that it needs */
    void *handle = dlopen(module, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) {
        return cg_error_set(err, ENOSYS, "'%s' is not a shared object", module);
    }
    for (size_t i = 0; i < CG_COUNT(entries); i++) {
        void *function = dlsym(handle, entries[i].name);
        if (function == NULL && entries[i].needed) {
            dlclose(handle);
            return cg_error_set(err, ENOSYS,
                                "the OpenSSL that '%s' uses has no %s, or "
                                "keeps it to itself",
                                module, entries[i].name);
        }
        *(void **)(void *)((char *)&table + entries[i].offset) = function;
    }
    cg_openssl = table; /* the handle is kept, and with it the library */
    return 0;
}
