/* SPDX-License-Identifier: MIT */
/* Media types by a name's ending, from our table and from a system's. */
#include "core/http/files/media_type.h"

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static void
expect(const struct cg_media_types *t, const char *path, const char *type,
       bool text)
{
    struct cg_media_type m = cg_media_type_of(t, cg_slice_of(path));
    ck_assert_str_eq(m.text, type);
    ck_assert_msg(m.is_text == text, "%s", path);
}

START_TEST(our_table_knows_what_the_web_is_made_of)
{
    const struct cg_media_types none = {0};
    expect(&none, "a/b.css", "text/css; charset=utf-8", true);
    expect(&none, "B.JS", "text/javascript; charset=utf-8", true);
    expect(&none, "x.svg", "image/svg+xml", true);
    expect(&none, "x.tar.gz", "application/gzip", false);
    expect(&none, "x.PNG", "image/png", false);
    static const char *const unknown[] = {
        "", "noending", "a.b/c", "x.", "x.zzz", "x.averyveryverylongending"};
    for (size_t i = 0; i < CG_COUNT(unknown); i++) {
        expect(&none, unknown[i], "application/octet-stream", false);
    }
}
END_TEST

START_TEST(a_system_s_table_adds_what_ours_has_not)
{
    struct cg_media_types t = {0};
    cg_media_types_read(
        &t, CG_SLICE("# comment\n\napplication/x-foo\tfoo FOO2 # more\r\n"
                     "application/evil css\nno-slash bar\ntext/x-c c h\n"
                     "application/none\nb\x01/d bad\n"
                     "application/z averyveryverylongending"));
    expect(&t, "a.foo", "application/x-foo", false);
    expect(&t, "a.foo2", "application/x-foo", false);
    expect(&t, "a.css", "text/css; charset=utf-8", true);
    expect(&t, "a.h", "text/x-c", true);
    expect(&t, "a.bar", "application/octet-stream", false);
    expect(&t, "a.bad", "application/octet-stream", false);
    cg_media_types_release(&t);
    cg_media_types_read(&t, CG_SLICE(""));
    cg_media_types_release(&t);
}
END_TEST

TESTS("media type", our_table_knows_what_the_web_is_made_of,
      a_system_s_table_adds_what_ours_has_not)
