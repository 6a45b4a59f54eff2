/* SPDX-License-Identifier: MIT */
/*
 * Where statsd listens: host:port, or a unix socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/validate/internal.h"
#include "core/base/memory.h"

/* The text after a ':' as a port; false when it is none. */
static bool
take_port(const char *text, int *ret)
{
    int64_t n;
    if (!cg_int_parse(text, 10, &n) || n < 0 || n > INT32_MAX) {
        return false;
    }
    *ret = (int)n;
    return true;
}

/* gunicorn's parse_address; `unix:1234` is a host called unix. */
bool
cg_split_statsd(const char *text, char **ret_host, int *ret_port)
{
    *ret_port = 8125;
    bool digits = strncmp(text, "unix:", 5) == 0 && text[5] != '\0' &&
                  strspn(text + 5, "0123456789") == strlen(text + 5);
    if (strncmp(text, "unix:", 5) == 0 && !digits) {
        *ret_port = -1;
        *ret_host =
            cg_strdup(text + (strncmp(text, "unix://", 7) == 0 ? 7 : 5));
        return true;
    }
    text += strncmp(text, "tcp://", 6) == 0 ? 6 : 0;
    const char *end = strchr(text, ']');
    bool v6 = text[0] == '[' && end != NULL;
    const char *colon = v6 && end[1] == ':' ? end + 1
                        : v6                ? NULL
                                            : strchr(text, ':');
    const char *last = v6 ? end : colon != NULL ? colon : text + strlen(text);
    cg_auto(free) char *port =
        colon != NULL ? cg_strndup(colon + 1, strcspn(colon + 1, ":")) : NULL;
    if (port != NULL && !take_port(port, ret_port)) {
        return false;
    }
    *ret_host = cg_strndup(text + v6, (size_t)(last - text) - v6);
    cg_lower(*ret_host);
    if (text[0] == '\0') {
        free(*ret_host);
        *ret_host = cg_strdup("0.0.0.0");
    }
    return true;
}

int
cg_validate_statsd(struct cg_value *v, struct cg_error *err)
{
    int port, r = cg_validate_str(v, err);
    char *host = NULL;
    if (r < 0 || v->kind == CG_VALUE_NONE) {
        return r;
    }
    bool good = cg_split_statsd(v->s, &host, &port);
    free(host);
    return good ? 0
                : cg_error_set(err, EINVAL,
                               "Value must be one of ('host:port', "
                               "'unix://PATH')");
}
