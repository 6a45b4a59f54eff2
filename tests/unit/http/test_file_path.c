/* SPDX-License-Identifier: MIT */
/* A request's path as a file's name: nothing leads out, nothing hidden. */
#include "core/http/files/file_path.h"

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

START_TEST(a_path_is_decoded_once)
{
    static const struct {
        const char *path, *name; /* NULL: refused */
    } rows[] = {{"/a/b.css", "/a/b.css"},
                {"/%41%2f%c3%bC", "/A/\xc3\xbc"},
                {"/%252e", "/%2e"},
                {"/%00", NULL},
                {"/%4", NULL},
                {"/%", NULL},
                {"/%4g", NULL},
                {"/%g4", NULL},
                {"", ""}};
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        bool well = cg_path_decode(cg_slice_of(rows[i].path), &b);
        ck_assert_msg(well == (rows[i].name != NULL), "%s", rows[i].path);
        if (well) {
            ck_assert_str_eq(cg_buf_str(&b), rows[i].name);
        }
    }
}
END_TEST

START_TEST(only_plain_segments_name_a_file)
{
    static const char *const plain[] = {"",          "a",      "a/b.css", "a/",
                                        "a.b/..c.d", "a b\\c", "~"};
    static const char *const others[] = {
        "/",     "/a",   "a//b",          ".",   "..", "../a", "a/..", "a/../b",
        "a/./b", ".env", "a/.git/config", "a/.."};
    ck_assert(cg_path_is_plain(cg_slice_of("a/b..c")));
    for (size_t i = 0; i < CG_COUNT(plain); i++) {
        /* "..c.d" begins with a dot */
        ck_assert_msg(cg_path_is_plain(cg_slice_of(plain[i])) == (i != 4), "%s",
                      plain[i]);
    }
    for (size_t i = 0; i < CG_COUNT(others); i++) {
        ck_assert_msg(!cg_path_is_plain(cg_slice_of(others[i])), "%s",
                      others[i]);
    }
    ck_assert(!cg_path_is_plain((struct cg_slice){"a\0b", 3}));
}
END_TEST

START_TEST(a_prefix_ends_where_a_segment_does)
{
    struct cg_slice rest, prefix = cg_slice_of("/static");
    ck_assert(cg_path_is_below(cg_slice_of("/static/a"), prefix, &rest));
    ck_assert(cg_slice_is(rest, "/a"));
    ck_assert(cg_path_is_below(cg_slice_of("/static"), prefix, &rest));
    ck_assert_uint_eq(rest.n, 0);
    ck_assert(!cg_path_is_below(cg_slice_of("/statics"), prefix, &rest));
    ck_assert(!cg_path_is_below(cg_slice_of("/stat"), prefix, &rest));
    ck_assert(!cg_path_is_below(cg_slice_of("/Static/a"), prefix, &rest));
    ck_assert(cg_path_is_below(cg_slice_of("/x"), cg_slice_of(""), &rest));
    ck_assert(cg_slice_is(rest, "/x"));
}
END_TEST

START_TEST(names_with_a_hash_are_told_apart)
{
    static const char *const hashed[] = {
        "app.3f2a91c4.js", "css/base.0a1b2c3d4e5f.css", "index-4f2c9a1b.js",
        "vendor_4f2c9a1b.min.js"};
    static const char *const others[] = {"app.js",
                                         "3f2a91c4.js",
                                         "a.12345678.css",
                                         "a.deadbeef.css",
                                         "a.3f2a91c.js",
                                         "a.3f2a91c4",
                                         "report.20241231.pdf",
                                         "a.3f2a91cg.js",
                                         "x.3f2a91c4.d/app.js",
                                         "",
                                         "-",
                                         "."};
    for (size_t i = 0; i < CG_COUNT(hashed); i++) {
        ck_assert_msg(cg_path_is_hashed(cg_slice_of(hashed[i])), "%s",
                      hashed[i]);
    }
    for (size_t i = 0; i < CG_COUNT(others); i++) {
        ck_assert_msg(!cg_path_is_hashed(cg_slice_of(others[i])), "%s",
                      others[i]);
    }
}
END_TEST

TESTS("file path", a_path_is_decoded_once, only_plain_segments_name_a_file,
      a_prefix_ends_where_a_segment_does, names_with_a_hash_are_told_apart)
