/* SPDX-License-Identifier: MIT */
/* docs/settings.md is what the table says now. Runs at the top of the tree. */
#include <check.h>
#include <stdlib.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"

int docgen_main(void);
#define main docgen_main
#include "config/docgen.c"
#undef main

static char *
generated(void)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n), *standard = stdout;
    stdout = f;
    ck_assert_int_eq(docgen_main(), 0);
    stdout = standard;
    fclose(f);
    return text;
}

START_TEST(the_reference_is_fresh)
{
    cg_auto(free) char *want = generated();
    cg_auto(buf) struct cg_buf got = {0};
    FILE *f = fopen("docs/settings.md", "re");
    ck_assert_msg(f != NULL, "no docs/settings.md here");
    for (int c = getc(f); c != EOF; c = getc(f)) {
        cg_buf_putc(&got, (char)c);
    }
    fclose(f);
    size_t same = 0, line = 1;
    while (want[same] != '\0' && want[same] == cg_buf_str(&got)[same]) {
        line += want[same++] == '\n';
    }
    ck_assert_msg(strcmp(want, cg_buf_str(&got)) == 0,
                  "docs/settings.md:%zu: the table says\n  %.70s\nthe file\n"
                  "  %.70s\nmake it anew with config/docgen.c",
                  line, want + same, cg_buf_str(&got) + same);
}
END_TEST

START_TEST(the_reference_names_every_setting)
{
    cg_auto(free) char *text = generated();
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        cg_auto(free) char *head =
            cg_strf("\n### %s\n", cg_setting_name((unsigned)id));
        ck_assert_msg(strstr(text, head) != NULL, "no %s", head);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("docs");
    TCase *t = tcase_create("docs");
    tcase_add_test(t, the_reference_is_fresh);
    tcase_add_test(t, the_reference_names_every_setting);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
