/* SPDX-License-Identifier: MIT */
/* Trust lists: a network that is accepted covers its own first address, and a
 * whole list is as wide as its parts. Items are lines. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "core/base/memory.h"
#include "core/http/proxy/trust.h"
#include "tests/fuzz/fuzz.h"

enum { ITEMS = 8 };

static bool
covers_itself(const struct cg_trust *t, const char *item)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    cg_auto(free) char *host = cg_strndup(item, strcspn(item, "/"));
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        return cg_trust_has(t, (const struct sockaddr *)&in);
    }
    return inet_pton(AF_INET6, host, &in6.sin6_addr) != 1 ||
           IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ||
           cg_trust_has(t, (const struct sockaddr *)&in6);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    cg_auto(free) char *text = cg_strndup((const char *)data, n);
    const char *items[ITEMS + 1] = {NULL};
    char *save, *item = strtok_r(text, "\n", &save);
    int count = 0;
    for (; item != NULL && count < ITEMS; item = strtok_r(NULL, "\n", &save)) {
        items[count++] = item;
    }
    struct cg_trust *t = NULL;
    struct cg_error err = {0};
    if (cg_trust_new(items, &t, &err) < 0) {
        EXPECT(err.text[0] != '\0' && t == NULL, "no reason");
        return 0;
    }
    for (int i = 0; i < count; i++) {
        EXPECT(covers_itself(t, items[i]), "%s", items[i]);
    }
    cg_trust_free(t);
    return 0;
}
