/* SPDX-License-Identifier: MIT */
/* Loading a configuration again and again keeps no memory. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <check.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/load.h"
#include "core/base/memory.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/interp.h"

enum { WARM_UP = 1000, RELOADS = 1000, SLACK = 64 << 10 };

static char dir[64];

static void
put(const char *name, const char *text)
{
    cg_auto(free) char *path = cg_strf("%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void
remove_file(const char *name)
{
    cg_auto(free) char *path = cg_strf("%s/%s", dir, name);
    unlink(path);
}

static void
load_once(const char *file, enum cg_load_result want)
{
    char *argv[] = {(char *)(size_t) "cgunicorn", (char *)(size_t) "-c",
                    (char *)(size_t)file, NULL};
    struct cg_python_reader reader = cg_python_config_reader();
    struct cg_load load = {
        .argc = 3, .argv = argv, .start_dir = dir, .python = &reader};
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    int status = 0;
    enum cg_load_result got = cg_config_load(&load, &s, &status, &err);
    ck_assert_msg(got == want, "%s: %d: %s", file, got, err.text);
    cg_settings_free(s);
}

static size_t
in_use(void)
{
    PyGC_Collect(); /* classes of the file are in cycles */
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void
expect_flat(const char *file, enum cg_load_result want)
{
    for (int i = 0; i < WARM_UP; i++) {
        load_once(file, want);
    }
    size_t before = in_use();
    for (int i = 0; i < RELOADS; i++) {
        load_once(file, want);
    }
    size_t after = in_use();
    ck_assert_msg(after <= before + SLACK, "%s: %zu bytes more after %d loads",
                  file, after - before, RELOADS);
}

START_TEST(a_thousand_reloads_are_flat)
{
    expect_flat("a.py", CG_LOAD_OK);
    expect_flat("a.yaml", CG_LOAD_OK);
    expect_flat("wrong.py", CG_LOAD_ERROR);
    expect_flat("wrong.yaml", CG_LOAD_ERROR);
    expect_flat("raises.py", CG_LOAD_ERROR);
    expect_flat("exits.py", CG_LOAD_EXIT);
}
END_TEST

int
main(int argc, char **argv)
{
    struct cg_python_choice choice;
    struct cg_error err = {0};
    strcpy(dir, "/tmp/test_reload.XXXXXX");
    /* PyObject memory through malloc, so that it is counted; without a GIL
     * Python has its own allocator and no other */
    if (!cg_python_is_free_threaded()) {
        setenv("PYTHONMALLOC", "malloc", 1);
    }
    if (mkdtemp(dir) == NULL ||
        cg_python_choose(argv[0], NULL, &choice, &err) < 0 ||
        cg_python_start(&choice, argc, argv, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    put("a.py", "import os\nworkers = 2\nbind = ['a:1', 'b:2']\n"
                "preload = True\nlogconfig_dict = {'version': 1}\n"
                "def post_fork(server, worker):\n    pass\n"
                "class W:\n    pass\nworker_class = W\n");
    put("a.yaml", "workers: 2\nbind: [a:1, b:2]\npreload: true\n"
                  "logconfig_dict: {version: 1, x: &a [1], y: *a}\n");
    put("wrong.py", "workers = -1\nthreads = 'x'\n");
    put("wrong.yaml", "workers: -1\nthreads: x\nbind: {a: [\n");
    put("raises.py", "def f():\n    raise KeyError('x')\nf()\n");
    put("exits.py", "import sys\nsys.exit(3)\n");
    Suite *suite = suite_create("reload");
    TCase *t = tcase_create("reload");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_thousand_reloads_are_flat);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* the interpreter is here */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    static const char *const names[] = {"a.py",       "a.yaml",    "wrong.py",
                                        "wrong.yaml", "raises.py", "exits.py"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        remove_file(names[i]);
    }
    rmdir(dir);
    cg_python_finish();
    return failed == 0 ? 0 : 1;
}
