/* SPDX-License-Identifier: MIT */
/* uwsgi packets: the head that they become, and what is refused. */
#include "core/http/proxy/uwsgi.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static struct cg_buf packet;

static void
put_text(const char *s, size_t n)
{
    cg_buf_putc(&packet, (char)(n & 0xff));
    cg_buf_putc(&packet, (char)(n >> 8));
    cg_buf_put(&packet, s, n);
}

/* "NAME=VALUE|NAME=VALUE" as a packet. */
static void
make(const char *text)
{
    cg_buf_release(&packet);
    cg_buf_put(&packet, "\0\0\0\0", 4);
    while (*text != '\0') {
        size_t n = strcspn(text, "|"), name = strcspn(text, "=");
        put_text(text, name);
        put_text(text + name + 1, n - name - 1);
        text += n + (text[n] == '|');
    }
    packet.p[1] = (char)((packet.n - 4) & 0xff);
    packet.p[2] = (char)((packet.n - 4) >> 8);
}

/* The head, with / for the ends of lines; "more", "refused NAME". Every cut
 * is given at the end of its memory, and none but the last says anything. */
static char *
told(void)
{
    struct cg_buf head = {0};
    struct cg_uwsgi u = {0};
    enum cg_refusal why = CG_REFUSE_NONE;
    struct cg_span at = {0};
    enum cg_uwsgi_status st = CG_UWSGI_MORE;
    for (size_t n = 0; st == CG_UWSGI_MORE && n <= packet.n; n++) {
        char *p = cg_malloc(n + 1);
        memcpy(p + 1, packet.p, n);
        st = cg_uwsgi_read(p + 1, n, &head, &u, &why, &at);
        ck_assert(st == CG_UWSGI_DONE || head.n == 0);
        free(p);
    }
    if (st != CG_UWSGI_DONE) {
        return st == CG_UWSGI_MORE
                   ? cg_strdup("more")
                   : cg_strf("refused %s", cg_refusal_name(why));
    }
    ck_assert_uint_eq(u.n, packet.n);
    struct cg_buf out = {0};
    for (size_t i = 0; i < head.n; i++) {
        if (head.p[i] != '\r') {
            cg_buf_putc(&out, head.p[i] == '\n' ? '#' : head.p[i]);
        }
    }
    cg_buf_puts(&out, u.https ? "https" : "http");
    cg_buf_release(&head);
    return cg_buf_take(&out);
}

static void
expect(const char *text, const char *wanted)
{
    make(text);
    char *got = told();
    ck_assert_str_eq(got, wanted);
    free(got);
    cg_buf_release(&packet);
}

START_TEST(variables_become_a_head)
{
    expect("", "GET / HTTP/1.0##http");
    expect("REQUEST_METHOD=POST|PATH_INFO=/a b%|QUERY_STRING=x=%20|"
           "HTTP_HOST=shop|HTTP_X_Y=1|CONTENT_TYPE=t|CONTENT_LENGTH=3|"
           "REMOTE_ADDR=1.2.3.4",
           "POST /a%20b%25?x=%20 HTTP/1.0#host: shop#x-y: 1#content-type: t#"
           "content-length: 3##http");
    expect("PATH_INFO=/?#|HTTPS=on", "GET /%3F%23 HTTP/1.0##https");
    expect("wsgi.url_scheme=https", "GET / HTTP/1.0##https");
    expect("REQUEST_METHOD=OPTIONS|PATH_INFO=*", "OPTIONS * HTTP/1.0##http");
}
END_TEST

START_TEST(the_last_one_counts_and_empty_content_is_none)
{
    expect("HTTP_A=1|HTTP_A=2|CONTENT_LENGTH=|CONTENT_TYPE=|PATH_INFO=/x|"
           "PATH_INFO=/y",
           "GET /y HTTP/1.0#a: 2##http");
}
END_TEST

START_TEST(fields_of_another_connection_are_left_out)
{
    expect("HTTP_CONNECTION=close|HTTP_UPGRADE=h2c|HTTP_EXPECT=x|HTTP_TE=x|"
           "HTTP_CONTENT_LENGTH=5|HTTP_TRANSFER_ENCODING=chunked|"
           "CONTENT_LENGTH=1",
           "GET / HTTP/1.0#content-length: 1##http");
    expect("HTTP_TRANSFER_ENCODING=chunked", "refused TRANSFER_ENCODING");
}
END_TEST

START_TEST(what_could_end_a_line_is_refused)
{
    expect("HTTP_A=1\r\nB: 2", "refused HEADER");
    expect("HTTP_A=1\n", "refused HEADER");
    expect("HTTP_A: B=1", "refused HEADER_NAME");
    expect("HTTP_=1", "refused HEADER");
    expect("CONTENT_TYPE=a\rb", "refused HEADER");
    expect("QUERY_STRING=a b", "refused TARGET");
    expect("PATH_INFO=x", "refused TARGET");
    expect("REQUEST_METHOD=GET /", "refused METHOD");
    expect("REQUEST_METHOD=", "refused METHOD");
}
END_TEST

START_TEST(lengths_that_do_not_fit_are_refused)
{
    make("A=b");
    packet.p[4] = 9; /* a name longer than the packet */
    char *got = told();
    ck_assert_str_eq(got, "refused UWSGI");
    free(got);
    make("A=b");
    packet.p[1]--; /* its last byte is no part of it */
    got = told();
    ck_assert_str_eq(got, "refused UWSGI");
    free(got);
    make("A=b");
    packet.p[0] = 'G';
    got = told();
    ck_assert_str_eq(got, "refused UWSGI_MODIFIER");
    free(got);
    make("A=b");
    packet.n--;
    got = told();
    ck_assert_str_eq(got, "more");
    free(got);
    cg_buf_release(&packet);
}
END_TEST

START_TEST(variables_have_a_bound)
{
    cg_buf_release(&packet);
    cg_buf_put(&packet, "\0\0\0\0", 4);
    for (int i = 0; i <= CG_UWSGI_VARIABLES; i++) {
        put_text("A", 1);
        put_text("", 0);
    }
    packet.p[1] = (char)((packet.n - 4) & 0xff);
    packet.p[2] = (char)((packet.n - 4) >> 8);
    char *got = told();
    ck_assert_str_eq(got, "refused UWSGI_MANY");
    free(got);
    cg_buf_release(&packet);
}
END_TEST

TESTS("uwsgi", variables_become_a_head,
      the_last_one_counts_and_empty_content_is_none,
      fields_of_another_connection_are_left_out,
      what_could_end_a_line_is_refused, lengths_that_do_not_fit_are_refused,
      variables_have_a_bound)
