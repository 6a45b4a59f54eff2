/* SPDX-License-Identifier: MIT */
/* Intakes: requests in pieces; bodies in memory and in files. */
#include "core/engine/exchange/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/base/tmpfile.h"
#include "tests/unit/check_main.h"

#define GET "GET /g HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\n"
#define LENGTH(n) POST "Content-Length: " #n "\r\n\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

/* Limits that are not named here are as wide as they can be. */
static struct cg_intake_policy
policy_of(size_t memory, const char *tmp_dir)
{
    return (struct cg_intake_policy){.head = &cg_head_policy_default,
                                     .max_body = UINT64_MAX,
                                     .body_memory = memory,
                                     .tmp_dir = tmp_dir};
}

struct outcome {
    enum cg_intake_status st;
    size_t used;
    struct cg_error err;
};

static struct outcome
feed(struct cg_intake *i, const struct cg_intake_policy *p, const char *text,
     size_t n, size_t step)
{
    struct outcome o = {.st = CG_INTAKE_MORE};
    while (o.st == CG_INTAKE_MORE && o.used < n) {
        size_t give = n - o.used < step ? n - o.used : step, used = 0;
        char *exact = cg_malloc(give);
        memcpy(exact, text + o.used, give);
        o.st = cg_intake_feed(i, p, false, exact, give, &used, &o.err);
        free(exact);
        ck_assert_uint_le(used, give);
        o.used += used;
    }
    return o;
}

static char *
body_of(const struct cg_intake *i)
{
    struct cg_body body = cg_intake_body(i);
    char *text = cg_calloc(1, (size_t)body.n + 1);
    if (body.fd < 0) {
        memcpy(text, body.p, (size_t)body.n);
    } else {
        ck_assert_int_eq(pread(body.fd, text, (size_t)body.n + 1, 0),
                         (ssize_t)body.n);
    }
    return text;
}

/* Complete, with that body and `left` bytes that are not its own. */
static void
expect(const char *text, const char *want, size_t left)
{
    const struct cg_intake_policy p = policy_of(1000, NULL);
    for (size_t step = 1; step <= strlen(text); step++) {
        struct cg_intake *i = cg_intake_new();
        struct outcome o = feed(i, &p, text, strlen(text), step);
        ck_assert_int_eq(o.st, CG_INTAKE_COMPLETE);
        ck_assert_uint_eq(o.used, strlen(text) - left);
        cg_auto(free) char *body = body_of(i);
        ck_assert_str_eq(body, want);
        ck_assert_int_eq(i->body_fd, -1);
        cg_intake_free(i);
    }
}

START_TEST(a_request_in_pieces_is_complete_with_its_last_byte)
{
    expect(GET, "", 0);
    expect(LENGTH(5) "hello", "hello", 0);
    expect(LENGTH(0), "", 0);
    expect(CHUNKED "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", 0);
    expect(CHUNKED "0\r\n\r\n", "", 0);
}
END_TEST

START_TEST(what_follows_a_request_is_not_its_own)
{
    const struct cg_intake_policy p = policy_of(1000, NULL);
    static const char *const texts[] = {GET "GET", LENGTH(2) "hiGET",
                                        CHUNKED "0\r\n\r\nGET"};
    for (size_t k = 0; k < CG_COUNT(texts); k++) {
        struct cg_intake *i = cg_intake_new();
        struct outcome o =
            feed(i, &p, texts[k], strlen(texts[k]), strlen(texts[k]));
        ck_assert_int_eq(o.st, CG_INTAKE_COMPLETE);
        ck_assert_uint_eq(o.used, strlen(texts[k]) - 3);
        cg_intake_free(i);
    }
}
END_TEST

START_TEST(a_part_of_a_request_waits)
{
    const struct cg_intake_policy p = policy_of(1000, NULL);
    static const char *const texts[] = {GET, LENGTH(5) "hello",
                                        CHUNKED "5\r\nhello\r\n0\r\n\r\n"};
    for (size_t k = 0; k < CG_COUNT(texts); k++) {
        for (size_t n = 1; n < strlen(texts[k]); n++) {
            struct cg_intake *i = cg_intake_new();
            struct outcome o = feed(i, &p, texts[k], n, n);
            ck_assert_int_eq(o.st, CG_INTAKE_MORE);
            ck_assert_uint_eq(o.used, n);
            cg_intake_free(i);
        }
    }
}
END_TEST

START_TEST(a_bad_head_or_body_is_refused)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"GET /\x01 HTTP/1.1\r\n", "TARGET"},
        {CHUNKED "5\r\nhelloX", "CHUNK_TERMINATOR"},
        {CHUNKED "x\r\n", "CHUNK_SIZE"},
        {CHUNKED "0\r\nHost: a\r\n", "TRAILER"},
    };
    const struct cg_intake_policy p = policy_of(1000, NULL);
    for (size_t k = 0; k < CG_COUNT(rows); k++) {
        size_t n = strlen(rows[k].text);
        for (size_t step = 1; step <= n; step += n - 1) {
            struct cg_intake *i = cg_intake_new();
            struct outcome o = feed(i, &p, rows[k].text, n, step);
            ck_assert_int_eq(o.st, CG_INTAKE_REFUSED);
            ck_assert_str_eq(cg_refusal_name(i->req.refusal), rows[k].why);
            cg_intake_free(i);
        }
    }
}
END_TEST

/* ---- taking over ---- */

START_TEST(a_head_that_was_read_is_taken_over)
{
    static const char text[] = LENGTH(5) "hello";
    const struct cg_intake_policy p = policy_of(1000, NULL);
    struct cg_request r = {0};
    ck_assert_int_eq(cg_head_read(&r, p.head, false, text, sizeof text - 1),
                     CG_HEAD_DONE);
    size_t head_n = r.head_n;
    struct cg_intake *i = cg_intake_new();
    cg_intake_take_head(i, &r, text);
    ck_assert_ptr_null(r.fields);
    ck_assert_uint_eq(i->head.n, head_n);
    ck_assert_mem_eq(i->head.p, text, head_n);
    struct outcome o = feed(i, &p, text + head_n, 5, 2);
    ck_assert_int_eq(o.st, CG_INTAKE_COMPLETE);
    cg_auto(free) char *body = body_of(i);
    ck_assert_str_eq(body, "hello");
    cg_intake_free(i);
}
END_TEST

START_TEST(a_part_of_a_head_is_taken_over)
{
    static const char text[] = LENGTH(5) "hello";
    const struct cg_intake_policy p = policy_of(1000, NULL);
    for (size_t n = 1; n < strlen(LENGTH(5)); n++) {
        struct cg_request r = {0};
        ck_assert_int_eq(cg_head_read(&r, p.head, false, text, n),
                         CG_HEAD_MORE);
        struct cg_intake *i = cg_intake_new();
        cg_intake_take_part(i, &r, text, n);
        struct outcome o = feed(i, &p, text + n, sizeof text - 1 - n, 3);
        ck_assert_int_eq(o.st, CG_INTAKE_COMPLETE);
        cg_intake_free(i);
    }
}
END_TEST

/* ---- files ---- */

static char *
random_body(size_t n)
{
    char *p = cg_malloc(n);
    unsigned seed = 1;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245 + 12345;
        p[i] = (char)('a' + (seed >> 16) % 26);
    }
    return p;
}

static struct cg_buf
request_with(const char *body, size_t n, bool chunked)
{
    struct cg_buf b = {0};
    cg_buf_puts(&b, POST);
    if (!chunked) {
        cg_buf_putf(&b, "Content-Length: %zu\r\n\r\n", n);
        cg_buf_put(&b, body, n);
        return b;
    }
    cg_buf_puts(&b, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < n; at += 1000) {
        size_t size = n - at < 1000 ? n - at : 1000;
        cg_buf_putf(&b, "%zx\r\n", size);
        cg_buf_put(&b, body + at, size);
        cg_buf_puts(&b, "\r\n");
    }
    cg_buf_puts(&b, "0\r\n\r\n");
    return b;
}

START_TEST(a_body_beyond_memory_goes_to_a_file)
{
    enum { N = 50000 };
    char folder[] = "/tmp/test_intake.XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const struct cg_intake_policy p = policy_of(4000, folder);
    cg_auto(free) char *sent = random_body(N);
    for (int chunked = 0; chunked < 2; chunked++) {
        cg_auto(buf) struct cg_buf text = request_with(sent, N, chunked);
        struct cg_intake *i = cg_intake_new();
        struct outcome o = feed(i, &p, text.p, text.n, 777);
        ck_assert_msg(o.st == CG_INTAKE_COMPLETE, "%s", o.err.text);
        struct cg_body body = cg_intake_body(i);
        ck_assert_int_ge(body.fd, 0);
        ck_assert_uint_eq(body.n, N);
        ck_assert_ptr_null(i->body.p); /* memory was given back */
        ck_assert_int_eq(fcntl(body.fd, F_GETFD), FD_CLOEXEC);
        struct stat st;
        ck_assert_int_eq(fstat(body.fd, &st), 0);
        ck_assert_uint_eq(st.st_nlink, 0); /* nobody finds it */
        ck_assert_int_eq(st.st_mode & 0777, 0600);
        cg_auto(free) char *got = body_of(i);
        ck_assert_mem_eq(got, sent, N);
        cg_intake_free(i);
    }
    ck_assert_int_eq(rmdir(folder), 0); /* nothing is left in it */
}
END_TEST

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define WITHOUT_MEMORY /* they need some of their own */
#else
static void
leave_no_memory(void)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
}

static void
leave_memory(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &all), 0);
}

START_TEST(a_body_that_memory_has_no_room_for_goes_to_a_file)
{
    enum { N = 8 << 20 };
    const struct cg_intake_policy p = policy_of(2 * N, NULL);
    cg_auto(free) char *sent = random_body(N);
    cg_auto(buf) struct cg_buf text = request_with(sent, N, true);
    struct cg_intake *i = cg_intake_new();
    /* what little else is needed: a hole in the heap, which cannot grow */
    char *hole = cg_malloc(16384);
    cg_auto(free) char *behind = cg_malloc(16);
    free(hole);
    leave_no_memory();
    struct outcome o = feed(i, &p, text.p, text.n, 777);
    leave_memory();
    ck_assert_msg(o.st == CG_INTAKE_COMPLETE, "%s", o.err.text);
    ck_assert_int_ge(i->body_fd, 0);
    cg_auto(free) char *got = body_of(i);
    ck_assert_mem_eq(got, sent, N);
    cg_intake_free(i);
}
END_TEST

START_TEST(there_is_no_room_where_there_is_no_memory)
{
    enum { N = 8 << 20 };
    static const char zeros[400000];
    const struct cg_intake_policy p = policy_of(2 * N, NULL);
    struct cg_intake *i = cg_intake_new();
    const char *head = LENGTH(8388608);
    ck_assert_int_eq(feed(i, &p, head, strlen(head), 1000).st, CG_INTAKE_MORE);
    size_t room = 0;
    leave_no_memory();
    while (cg_intake_room(i, &p, &room) != NULL) {
        ck_assert_int_eq(cg_intake_filled(i, room), CG_INTAKE_MORE);
    }
    struct cg_error err = {0};
    size_t used = 0;
    enum cg_intake_status st =
        cg_intake_feed(i, &p, false, zeros, sizeof zeros, &used, &err);
    leave_memory();
    ck_assert_msg(st == CG_INTAKE_MORE, "%s", err.text);
    ck_assert_int_ge(i->body_fd, 0);
    ck_assert_ptr_null(cg_intake_room(i, &p, &room)); /* nor beside a file */
    cg_intake_free(i);
}
END_TEST

START_TEST(a_head_or_a_stream_that_memory_has_no_room_for_fails)
{
    enum { N = 8 << 20 };
    struct cg_intake_policy p = policy_of(SIZE_MAX, NULL);
    cg_auto(free) char *sent = random_body(N);
    cg_auto(buf) struct cg_buf text = request_with(sent, N, true);
    static const char *const told[] = {"no memory for the head of a request",
                                       "no memory for a request body"};
    for (int body = 0; body < 2; body++) {
        struct cg_intake *i = cg_intake_new();
        const char *start = CHUNKED;
        if (body) {
            feed(i, &p, start, strlen(start), 1000);
        }
        size_t used = 0, skip = body ? strlen(start) : 0;
        struct cg_error err = {0};
        leave_no_memory();
        enum cg_intake_status st = cg_intake_feed(i, &p, false, text.p + skip,
                                                  text.n - skip, &used, &err);
        leave_memory();
        ck_assert_int_eq(st, CG_INTAKE_FAILED);
        ck_assert_int_eq(err.code, -ENOMEM);
        ck_assert_str_eq(err.text, told[body]);
        cg_intake_free(i);
    }
}
END_TEST
#define WITHOUT_MEMORY                                                         \
    a_body_that_memory_has_no_room_for_goes_to_a_file,                         \
        there_is_no_room_where_there_is_no_memory,                             \
        a_head_or_a_stream_that_memory_has_no_room_for_fails,
#endif

START_TEST(a_folder_that_is_missing_is_told)
{
    const struct cg_intake_policy p = policy_of(2, "/nowhere/at/all");
    struct cg_intake *i = cg_intake_new();
    struct outcome o =
        feed(i, &p, LENGTH(5) "hello", strlen(LENGTH(5) "hello"), 100);
    ck_assert_int_eq(o.st, CG_INTAKE_FAILED);
    ck_assert_int_eq(o.err.code, -ENOENT);
    ck_assert_str_eq(o.err.text,
                     "cannot make a temporary file for a request body in "
                     "'/nowhere/at/all' (tmp_upload_dir): No such file or "
                     "directory");
    cg_intake_free(i);
}
END_TEST

START_TEST(the_environment_names_the_folder)
{
    const struct cg_intake_policy p = policy_of(2, NULL);
    static const char *const rows[][2] = {{"/nowhere", "'/nowhere'"},
                                          {"", NULL}};
    for (size_t k = 0; k < CG_COUNT(rows); k++) {
        setenv("TMPDIR", rows[k][0], 1);
        struct cg_intake *i = cg_intake_new();
        struct outcome o =
            feed(i, &p, LENGTH(5) "hello", strlen(LENGTH(5) "hello"), 100);
        ck_assert_int_eq(o.st, rows[k][1] != NULL ? CG_INTAKE_FAILED
                                                  : CG_INTAKE_COMPLETE);
        ck_assert(rows[k][1] == NULL || strstr(o.err.text, rows[k][1]) != NULL);
        cg_intake_free(i);
    }
}
END_TEST

/* ---- room ---- */

START_TEST(a_body_is_received_into_its_place)
{
    const struct cg_intake_policy p = policy_of(1 << 20, NULL);
    enum { N = 300000 };
    cg_auto(free) char *sent = random_body(N);
    cg_auto(buf) struct cg_buf text = request_with(sent, N, false);
    struct cg_intake *i = cg_intake_new();
    size_t at = text.n - N, room = 0;
    ck_assert_ptr_null(cg_intake_room(i, &p, &room)); /* no head yet */
    ck_assert_int_eq(feed(i, &p, text.p, at, at).st, CG_INTAKE_MORE);
    enum cg_intake_status st = CG_INTAKE_MORE;
    while (st == CG_INTAKE_MORE) {
        char *to = cg_intake_room(i, &p, &room);
        ck_assert_ptr_nonnull(to);
        /* what is only announced costs no memory */
        ck_assert_uint_le(room, 256 * 1024);
        ck_assert_uint_le(i->body.cap, 3 * i->body.n + 64 * 1024);
        size_t n = room < 9999 ? room : 9999;
        memcpy(to, text.p + at, n);
        at += n;
        st = cg_intake_filled(i, n);
    }
    ck_assert_int_eq(st, CG_INTAKE_COMPLETE);
    ck_assert_uint_eq(at, text.n);
    cg_auto(free) char *got = body_of(i);
    ck_assert_mem_eq(got, sent, N);
    cg_intake_free(i);
}
END_TEST

START_TEST(a_body_that_came_with_its_head_grows_by_what_came)
{
    const struct cg_intake_policy p = policy_of(1 << 20, NULL);
    enum { N = 300000, FIRST = 70000 };
    cg_auto(free) char *sent = random_body(N);
    cg_auto(buf) struct cg_buf text = request_with(sent, N, false);
    struct cg_intake *i = cg_intake_new();
    size_t head_n = text.n - N, at = head_n + FIRST, room;
    ck_assert_int_eq(feed(i, &p, text.p, at, at).st, CG_INTAKE_MORE);
    ck_assert_uint_ge(i->body.cap, 2 * FIRST);
    ck_assert_uint_le(i->body.cap, 3 * FIRST);
    const char *body = i->body.p;
    ck_assert_ptr_eq(cg_intake_room(i, &p, &room), body + FIRST);
    ck_assert_uint_ge(room, FIRST);
    /* the last piece: no more than the body has */
    ck_assert_int_eq(
        feed(i, &p, text.p + at, text.n - at - 1, text.n - at - 1).st,
        CG_INTAKE_MORE);
    cg_intake_room(i, &p, &room);
    ck_assert_uint_eq(room, 1);
    cg_intake_free(i);
}
END_TEST

START_TEST(bodies_that_are_decoded_or_stored_have_no_room)
{
    const struct cg_intake_policy p = policy_of(10, NULL);
    static const char *const heads[] = {CHUNKED, LENGTH(11), LENGTH(0)};
    for (size_t k = 0; k < CG_COUNT(heads); k++) {
        struct cg_intake *i = cg_intake_new();
        size_t room;
        feed(i, &p, heads[k], strlen(heads[k]), 100);
        ck_assert_ptr_null(cg_intake_room(i, &p, &room));
        cg_intake_free(i);
    }
    cg_intake_free(NULL);
}
END_TEST

/* Calls of write(2) by this process so far; -1 where the kernel does not say.
 */
static long
writes(void)
{
    char text[512] = "";
    int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    close(fd);
    const char *at = n > 0 ? strstr(text, "syscw: ") : NULL;
    return at != NULL ? atol(at + 7) : -1;
}

START_TEST(tiny_chunks_are_stored_in_blocks)
{
    enum { CHUNKS = 100000, STEP = 100000 };
    const struct cg_intake_policy p = policy_of(1000, NULL);
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(buf) struct cg_buf want = {0};
    cg_buf_puts(&text, CHUNKED);
    for (int n = 0; n < CHUNKS; n++) {
        cg_buf_putf(&text, "8\r\n%08d\r\n", n);
        cg_buf_putf(&want, "%08d", n);
    }
    cg_buf_puts(&text, "0\r\n\r\n");
    struct cg_intake *i = cg_intake_new();
    long before = writes();
    struct outcome o = feed(i, &p, text.p, text.n, STEP);
    ck_assert_int_eq(o.st, CG_INTAKE_COMPLETE);
    ck_assert_int_le(writes() - before, 40);
    cg_auto(free) char *body = body_of(i);
    ck_assert_str_eq(body, cg_buf_str(&want));
    cg_intake_free(i);
}
END_TEST

START_TEST(tiny_chunks_keep_within_their_bound)
{
    struct cg_intake_policy p = policy_of(1000, NULL);
    p.max_body = 20;
    struct cg_intake *i = cg_intake_new();
    struct outcome o =
        feed(i, &p, CHUNKED "8\r\n12345678\r\n8\r\n12345678\r\n8\r\n1",
             strlen(CHUNKED) + 29, 1000);
    ck_assert_int_eq(o.st, CG_INTAKE_MORE);
    ck_assert_uint_eq(cg_intake_body(i).n, 16);
    o = feed(i, &p, "12345678", 8, 8);
    ck_assert_int_eq(o.st, CG_INTAKE_REFUSED);
    ck_assert_int_eq(i->req.refusal, CG_REFUSE_BODY_LIMIT);
    cg_intake_free(i);
}
END_TEST

START_TEST(what_an_intake_holds_is_taken_from_the_budget_and_given_back)
{
    struct cg_budget budget = {.memory.most = 1000, .disk.most = 50};
    struct cg_intake_policy p = policy_of(20, NULL);
    p.budget = &budget;
    struct cg_intake *i = cg_intake_new();
    struct outcome o = feed(i, &p, LENGTH(40), strlen(LENGTH(40)), 1000);
    ck_assert_int_eq(o.st, CG_INTAKE_MORE);
    ck_assert_uint_ge(budget.memory.held, strlen(LENGTH(40)));
    o = feed(i, &p, "0123456789012345678901234567890123456789", 40, 1000);
    ck_assert_int_eq(o.st, CG_INTAKE_COMPLETE);
    ck_assert_uint_eq(budget.disk.held, 40);
    struct cg_intake *other = cg_intake_new();
    feed(other, &p, LENGTH(40), strlen(LENGTH(40)), 1000);
    o = feed(other, &p, "0123456789012345678901234567890123456789", 30, 1000);
    ck_assert_int_eq(o.st, CG_INTAKE_FAILED);
    ck_assert_int_eq(o.err.code, -ENOSPC);
    cg_intake_free(other);
    ck_assert_uint_eq(budget.disk.held, 40);
    cg_intake_free(i);
    ck_assert_uint_eq(budget.disk.held, 0);
    ck_assert_uint_eq(budget.memory.held, 0);
}
END_TEST

START_TEST(a_body_that_the_budget_never_holds_is_refused)
{
    struct cg_budget budget = {.memory.most = 1000, .disk.most = 50};
    struct cg_intake_policy p = policy_of(20, NULL);
    p.budget = &budget;
    struct cg_intake *i = cg_intake_new();
    struct outcome o = feed(i, &p, LENGTH(51), strlen(LENGTH(51)), 1000);
    ck_assert_int_eq(o.st, CG_INTAKE_REFUSED);
    ck_assert_int_eq(i->req.refusal, CG_REFUSE_BODY_BUDGET);
    cg_intake_free(i);
    p.streams = true;
    ck_assert_int_eq(cg_intake_too_large(&p, 51), CG_REFUSE_NONE);
    ck_assert_uint_eq(budget.memory.held, 0);
}
END_TEST

/* With a body of 40 bytes in fd; 0, or why it cannot be held. */
static int
adopt(struct cg_intake *i, const struct cg_intake_policy *p, int fd)
{
    static const char head[] = LENGTH(40);
    const struct cg_body body = {
        .n = 40, .fd = fd, .trailers = CG_SLICE("A: b\n")};
    struct cg_request req = {0};
    struct cg_error err = {0};
    cg_request_reset(&req);
    ck_assert_int_eq(cg_head_read(&req, p->head, false, head, sizeof head - 1),
                     CG_HEAD_DONE);
    int r = cg_intake_adopt(i, p, &req, head, body, &err);
    ck_assert_int_eq(r, err.code);
    cg_request_release(&req);
    return r;
}

START_TEST(a_body_that_another_worker_stored_counts_where_it_is)
{
    struct cg_budget budget = {.memory.most = 1000, .disk.most = 50};
    struct cg_intake_policy p = policy_of(20, NULL);
    p.budget = &budget;
    struct cg_intake *one = cg_intake_new(), *two = cg_intake_new();
    ck_assert_int_eq(adopt(one, &p, cg_tmpfile_open("/tmp", "test")), 0);
    ck_assert_uint_eq(budget.disk.held, 40);
    ck_assert(one->done && one->head_done);
    ck_assert_uint_eq(cg_intake_body(one).n, 40);
    ck_assert(cg_slice_is(cg_intake_body(one).trailers, "A: b\n"));
    ck_assert_int_eq(adopt(two, &p, cg_tmpfile_open("/tmp", "test")), -ENOSPC);
    cg_intake_free(two);
    two = cg_intake_new();
    ck_assert_int_eq(
        adopt(two, &p, memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)),
        0);
    ck_assert_uint_eq(budget.disk.held, 40);
    ck_assert_uint_eq(budget.memory.held, strlen(LENGTH(40)) + 40);
    cg_intake_free(one);
    cg_intake_free(two);
    ck_assert_uint_eq(budget.disk.held, 0);
    ck_assert_uint_eq(budget.memory.held, 0);
}
END_TEST

TESTS("intake", a_body_that_another_worker_stored_counts_where_it_is,
      what_an_intake_holds_is_taken_from_the_budget_and_given_back,
      a_body_that_the_budget_never_holds_is_refused,
      a_request_in_pieces_is_complete_with_its_last_byte,
      what_follows_a_request_is_not_its_own, a_part_of_a_request_waits,
      a_bad_head_or_body_is_refused, a_head_that_was_read_is_taken_over,
      a_part_of_a_head_is_taken_over, a_body_beyond_memory_goes_to_a_file,
      WITHOUT_MEMORY a_folder_that_is_missing_is_told,
      the_environment_names_the_folder, a_body_is_received_into_its_place,
      a_body_that_came_with_its_head_grows_by_what_came,
      bodies_that_are_decoded_or_stored_have_no_room,
      tiny_chunks_are_stored_in_blocks, tiny_chunks_keep_within_their_bound)
