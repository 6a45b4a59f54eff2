/* SPDX-License-Identifier: MIT */
/* What is made from the table is what the table says now. Runs at the top of
 * the tree. */
#include <check.h>
#include <stdlib.h>

#include "config/load.h"
#include "core/base/bytes.h"
#include "core/base/memory.h"

int docgen_main(void);
#define main docgen_main
#include "config/docgen.c"
#undef main
#include "config/docgen_man.c"
#include "config/docgen_shell.c"

static void
read_file(const char *path, struct cg_buf *ret)
{
    FILE *f = fopen(path, "re");
    ck_assert_msg(f != NULL, "no %s here: make docs", path);
    for (int c = getc(f); c != EOF; c = getc(f)) {
        cg_buf_putc(ret, (char)c);
    }
    fclose(f);
}

static void
expect_fresh(const struct artefact *a)
{
    cg_auto(free) char *want = text_of(a);
    cg_auto(buf) struct cg_buf got = {0};
    read_file(a->path, &got);
    size_t same = 0, line = 1;
    while (want[same] != '\0' && want[same] == cg_buf_str(&got)[same]) {
        line += want[same++] == '\n';
    }
    ck_assert_msg(strcmp(want, cg_buf_str(&got)) == 0,
                  "%s:%zu: the table says\n  %.70s\nthe file\n  %.70s\n"
                  "make docs writes it anew",
                  a->path, line, want + same, cg_buf_str(&got) + same);
}

START_TEST(what_is_made_is_fresh)
{
    expect_fresh(&artefacts[_i]);
}
END_TEST

/* Where each artefact has to name every setting, or every option. */
static void
expect_named(const char *path, const char *before, const char *name,
             const char *after)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(free) char *want = cg_strf("%s%s%s", before, name, after);
    read_file(path, &text);
    ck_assert_msg(strstr(cg_buf_str(&text), want) != NULL, "%s: no '%s'", path,
                  want);
}

START_TEST(the_references_name_every_setting)
{
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const char *name = cg_rows[id].name;
        expect_named("docs/settings.md", "\n### ", name, "\n");
        expect_named("docs/cgunicorn.conf.5", "\n.TP\n\\fB", name, "\\fR\n");
    }
}
END_TEST

START_TEST(help_and_the_manual_name_every_option)
{
    char *help = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&help, &size);
    cg_command_help("cgunicorn", f);
    fclose(f);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        for (const char *p = cg_rows[id].flags; p != NULL && *p != '\0';) {
            size_t n = strcspn(p, " ");
            cg_auto(free) char *flag = cg_strndup(p, n);
            ck_assert_msg(strstr(help, flag) != NULL, "--help: %s", flag);
            expect_named("docs/completion/cgunicorn.bash", "            ", flag,
                         "");
            expect_named("docs/completion/_cgunicorn", "", flag, "");
            p += n + (p[n] == ' ');
        }
    }
    free(help);
}
END_TEST

START_TEST(a_list_of_differences_gets_its_part_between_the_marks)
{
    expect_named("docs/differences.md", begin_mark, "| setting |", "");
    expect_named("docs/differences.md", "", "| `keepalive` | `2` | `75` |", "");
    expect_named("docs/differences.md", "", end_mark, "");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("docs");
    TCase *t = tcase_create("docs");
    tcase_add_loop_test(t, what_is_made_is_fresh, 0, CG_COUNT(artefacts));
    tcase_add_test(t, the_references_name_every_setting);
    tcase_add_test(t, help_and_the_manual_name_every_option);
    tcase_add_test(t, a_list_of_differences_gets_its_part_between_the_marks);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
