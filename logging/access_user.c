/* SPDX-License-Identifier: MIT */
/* Who a request says it comes from: %(u)s. */
#include <string.h>
#include <strings.h>

#include "logging/access_internal.h"

static int
base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

size_t
cg_access_user(struct cg_slice authorization, char user[CG_ACCESS_USER_MAX])
{
    size_t n = 0;
    unsigned bits = 0;
    int have = 0;
    if (authorization.n < 7 || strncasecmp(authorization.p, "basic ", 6) != 0) {
        return 0;
    }
    struct cg_slice code = cg_slice_trim(
        (struct cg_slice){authorization.p + 6, authorization.n - 6});
    for (size_t i = 0; i < code.n && code.p[i] != '='; i++) {
        int digit = base64_digit(code.p[i]);
        if (digit < 0) {
            return 0;
        }
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            char c = (char)(bits >> have & 0xff);
            if (c == ':' || n == CG_ACCESS_USER_MAX) {
                break;
            }
            user[n++] = c;
        }
    }
    return n;
}
