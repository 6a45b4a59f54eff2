/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/capacity.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static char root[64];

static void
put(const char *path, const char *text)
{
    cg_auto(free) char *all = cg_strf("%s/%s", root, path);
    for (char *p = all + strlen(root) + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            mkdir(all, 0755);
            *p = '/';
        }
    }
    FILE *f = fopen(all, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void
make_root(void)
{
    strcpy(root, "/tmp/test_capacity.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void
remove_root(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(memory_is_what_the_least_of_the_groups_allows)
{
    make_root();
    uint64_t all = cg_capacity_memory(root);
    ck_assert_uint_gt(all, 1 << 20);
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    ck_assert_uint_eq(cg_capacity_memory(root), all);
    put("sys/fs/cgroup/a/memory.max", "1048576\n");
    ck_assert_uint_eq(cg_capacity_memory(root), 1 << 20);
    put("sys/fs/cgroup/a/b/memory.max", "65536\n");
    ck_assert_uint_eq(cg_capacity_memory(root), 1 << 16);
    remove_root();
}
END_TEST

START_TEST(groups_of_version_1_are_read_too)
{
    make_root();
    uint64_t all = cg_capacity_memory(root);
    put("proc/self/cgroup", "4:memory:/a\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        "9223372036854771712\n");
    ck_assert_uint_eq(cg_capacity_memory(root), all);
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576\n");
    ck_assert_uint_eq(cg_capacity_memory(root), 1 << 20);
    remove_root();
}
END_TEST

START_TEST(a_disk_is_asked_where_the_folder_is)
{
    ck_assert_uint_gt(cg_capacity_disk("/proc/.."), 0);
    ck_assert_uint_eq(cg_capacity_disk("/no/such/folder"), 0);
}
END_TEST

TESTS("capacity", memory_is_what_the_least_of_the_groups_allows,
      groups_of_version_1_are_read_too, a_disk_is_asked_where_the_folder_is)
