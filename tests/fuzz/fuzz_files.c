/* SPDX-License-Identifier: MIT */
/* What a client says about a file: its path, ranges, codings, conditions. The
 * first byte chooses. */
#include "core/base/memory.h"
#include "core/http/files/coding.h"
#include "core/http/files/file_path.h"
#include "core/http/files/media_type.h"
#include "core/http/files/precondition.h"
#include "core/http/files/range.h"
#include "tests/fuzz/fuzz.h"

/* What is plain has no way out of a folder, whoever reads it. */
static void
check_path(struct cg_slice s)
{
    cg_auto(buf) struct cg_buf b = {0};
    struct cg_slice rest;
    if (!cg_path_decode(s, &b)) {
        return;
    }
    struct cg_slice path = {b.p, b.n};
    cg_path_is_hashed(path);
    cg_path_is_below(path, CG_SLICE("/static"), &rest);
    if (!cg_path_is_plain(path)) {
        return;
    }
    const char *text = cg_buf_str(&b);
    EXPECT(strlen(text) == b.n, "NUL");
    EXPECT(b.n == 0 || text[0] != '/', "absolute");
    EXPECT(text[0] != '.' && strstr(text, "/.") == NULL, "%s", text);
}

static void
check_ranges(struct cg_slice s, unsigned size)
{
    struct cg_ranges r;
    if (cg_ranges_read(&r, s, size) != CG_RANGES_GIVEN) {
        return;
    }
    uint64_t total = 0;
    EXPECT(r.count > 0 && r.count <= CG_RANGES_MAX, "%d", r.count);
    for (int i = 0; i < r.count; i++) {
        EXPECT(r.each[i].n > 0 && r.each[i].at < size &&
                   r.each[i].n <= size - r.each[i].at,
               "range %d", i);
        total += r.each[i].n;
    }
    EXPECT(total == r.total && total <= size, "total");
}

static void
check_codings(struct cg_slice s)
{
    struct cg_accepted a = {0};
    enum cg_coding order[CG_CODING_COUNT];
    cg_accepted_read(&a, s);
    int n = cg_accepted_order(&a, order);
    EXPECT(n >= 0 && n <= CG_CODING_COUNT, "%d", n);
    for (int i = 0; i < n; i++) {
        EXPECT(!a.has[order[i]] || a.q[order[i]] > 0, "refused");
        EXPECT(i == 0 || order[i] != order[i - 1], "twice");
    }
}

static void
check_conditions(struct cg_slice s)
{
    time_t t;
    const struct cg_validators v = {.etag = CG_SLICE("\"a\""), .modified = 5};
    const struct cg_preconditions all[] = {{.match = s},
                                           {.none_match = s},
                                           {.modified_since = s},
                                           {.unmodified_since = s},
                                           {.if_range = s}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cg_precondition(&all[i], &v);
        cg_range_holds(&all[i], &v);
    }
    cg_http_date_read(s, &t);
}

static void
check_types(struct cg_slice s)
{
    struct cg_media_types t = {0};
    cg_media_types_read(&t, s);
    EXPECT(cg_media_type_of(&t, s).text != NULL, "no type");
    cg_media_types_release(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    unsigned which = fuzz_byte(&in);
    struct cg_slice s = {in.p, in.n};
    switch (which % 5) {
    case 0: check_path(s); break;
    case 1: check_ranges(s, which); break;
    case 2: check_codings(s); break;
    case 3: check_conditions(s); break;
    case 4: check_types(s); break;
    }
    return 0;
}
