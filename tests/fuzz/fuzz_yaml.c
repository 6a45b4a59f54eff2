/* SPDX-License-Identifier: MIT */
/* YAML configuration files: read or refused with a place, never more. */
#include <sys/mman.h>
#include <unistd.h>

#include "config/yaml.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

static void
take(void *self, enum cg_setting_id id, const struct cg_value *v)
{
    struct cg_buf *b = self;
    b->n = 0;
    cg_value_repr(v, b);
}

static void
check(const struct cg_findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        EXPECT(strncmp(f->items[i].text, "c.yaml", 6) == 0, "%s",
               f->items[i].text);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    char path[64];
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    if (fd < 0) {
        fd = memfd_create("yaml", MFD_CLOEXEC);
    }
    EXPECT(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n,
           "cannot write");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    EXPECT(cg_settings_new(&s, &err) == 0, "%s", err.text);
    cg_auto(findings) struct cg_findings f = {0};
    cg_auto(buf) struct cg_buf b = {0};
    int r = cg_yaml_read(path, "c.yaml", s, &f);
    EXPECT(r == 0 || f.problems > 0, "refused without a reason");
    cg_yaml_visit(path, "c.yaml", take, &b, &f);
    check(&f);
    cg_settings_free(s);
    return 0;
}
