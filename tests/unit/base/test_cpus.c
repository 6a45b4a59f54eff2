/* SPDX-License-Identifier: MIT */
/* How many CPUs there are to use, from the files that a system shows. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cpus.h"
#include "core/base/memory.h"

static char root[64];

static void
make_root(void)
{
    strcpy(root, "/tmp/test_cpus.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void
remove_root(void)
{
    cg_auto(free) char *command = cg_strf("rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void
put(const char *name, const char *text)
{
    cg_auto(free) char *path = cg_strf("%s%s", root, name);
    for (char *p = path + strlen(root) + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            mkdir(path, 0755);
            *p = '/';
        }
    }
    FILE *f = fopen(path, "we");
    ck_assert_msg(f != NULL, "%s", path);
    fputs(text, f);
    fclose(f);
}

static struct cg_cpus
read_cpus(void)
{
    struct cg_cpus c;
    cg_cpus_read(root, &c);
    ck_assert_int_ge(c.host, 1);
    ck_assert_int_ge(c.affinity, 1);
    return c;
}

static int
least(const struct cg_cpus *c, int quota)
{
    int n = c->host < c->affinity ? c->host : c->affinity;
    return quota < n ? quota : n;
}

START_TEST(without_control_groups_the_mask_counts)
{
    struct cg_cpus c = read_cpus();
    ck_assert_double_eq(c.quota, 0);
    ck_assert_int_eq(c.count, least(&c, c.host));
}
END_TEST

START_TEST(a_quota_of_version_2_is_rounded_up)
{
    put("/proc/self/cgroup", "0::/app\n");
    put("/sys/fs/cgroup/app/cpu.max", "50000 100000\n");
    struct cg_cpus c = read_cpus();
    ck_assert_double_eq_tol(c.quota, 0.5, 1e-9);
    ck_assert_int_eq(c.count, 1);
    put("/sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    c = read_cpus();
    ck_assert_double_eq_tol(c.quota, 1.5, 1e-9);
    ck_assert_int_eq(c.count, least(&c, 2));
}
END_TEST

START_TEST(the_least_quota_on_the_way_up_counts)
{
    put("/proc/self/cgroup", "0::/pod/app\n");
    put("/sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/pod/cpu.max", "25000 50000\n");
    put("/sys/fs/cgroup/cpu.max", "900000 100000\n");
    ck_assert_double_eq_tol(read_cpus().quota, 0.5, 1e-9);
}
END_TEST

START_TEST(a_group_that_cannot_be_seen_leaves_the_top)
{
    put("/proc/self/cgroup", "0::/docker/0123\n");
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    ck_assert_double_eq_tol(read_cpus().quota, 1, 1e-9);
}
END_TEST

START_TEST(a_quota_of_version_1_counts)
{
    put("/proc/self/cgroup",
        "5:memory:/x\n4:cpu,cpuacct:/app\n3:cpuset:/x\n0::/\n");
    put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "20000\n");
    put("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
    ck_assert_double_eq_tol(read_cpus().quota, 0.2, 1e-9);
    put("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "-1\n");
    ck_assert_double_eq(read_cpus().quota, 0);
}
END_TEST

START_TEST(nonsense_is_no_quota)
{
    static const char *const lines[] = {"",      "\n",  "x",       "0 0",
                                        "-1 -1", "max", "100000 0"};
    put("/proc/self/cgroup", "0::\nrubbish\n:\n::\n0::/\n");
    for (size_t i = 0; i < CG_COUNT(lines); i++) {
        put("/sys/fs/cgroup/cpu.max", lines[i]);
        ck_assert_msg(read_cpus().quota == 0, "'%s'", lines[i]);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cpus");
    TCase *t = tcase_create("cpus");
    tcase_add_checked_fixture(t, make_root, remove_root);
    tcase_add_test(t, without_control_groups_the_mask_counts);
    tcase_add_test(t, a_quota_of_version_2_is_rounded_up);
    tcase_add_test(t, the_least_quota_on_the_way_up_counts);
    tcase_add_test(t, a_group_that_cannot_be_seen_leaves_the_top);
    tcase_add_test(t, a_quota_of_version_1_counts);
    tcase_add_test(t, nonsense_is_no_quota);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
