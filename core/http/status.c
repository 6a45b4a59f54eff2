/* SPDX-License-Identifier: MIT */
/* Reason phrases and error pages. */
#include <stdio.h>

#include "core/http/reply.h"

const char *
cg_reason(int status)
{
    switch (status) {
#define CG_STATUS(code, reason)                                                \
    case code:                                                                 \
        return reason;
#include "core/http/statuses.def"
#undef CG_STATUS
    default: return "Unknown";
    }
}

static void
put_html(struct cg_buf *b, struct cg_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&': cg_buf_puts(b, "&amp;"); break;
        case '<': cg_buf_puts(b, "&lt;"); break;
        case '>': cg_buf_puts(b, "&gt;"); break;
        case '"': cg_buf_puts(b, "&quot;"); break;
        case '\'': cg_buf_puts(b, "&#x27;"); break;
        default: cg_buf_putc(b, s.p[i]); break;
        }
    }
}

static void
put_page(struct cg_buf *b, const char *reason, struct cg_slice message)
{
    cg_buf_putf(b,
                "<!doctype html>\n<html>\n<head><title>%s</title></head>\n"
                "<body>\n<h1>%s</h1>\n",
                reason, reason);
    if (message.n > 0) {
        cg_buf_puts(b, "<p>");
        put_html(b, message);
        cg_buf_puts(b, "</p>\n");
    }
    cg_buf_puts(b, "</body>\n</html>\n");
}

size_t
cg_error_page(struct cg_buf *out, int status, struct cg_slice message,
              const char *server, const char *date, uint8_t minor,
              bool head_request)
{
    struct cg_buf page = {0};
    const char *reason = cg_reason(status);
    put_page(&page, reason, message);
    cg_buf_putf(out, "HTTP/1.%d %d %s\r\n", minor >= 1 ? 1 : 0, status, reason);
    if (server != NULL) {
        cg_buf_putf(out, "Server: %s\r\n", server);
    }
    cg_buf_putf(out,
                "Date: %.*s\r\nConnection: close\r\nContent-Type: text/html\r\n"
                "Content-Length: %zu\r\n\r\n",
                CG_HTTP_DATE_SIZE, date, page.n);
    size_t n = page.n;
    if (!head_request) {
        cg_buf_put(out, page.p, page.n);
    }
    cg_buf_release(&page);
    return n;
}
