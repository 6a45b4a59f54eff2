/* SPDX-License-Identifier: MIT */
/* Command lines: parsed, and their values validated, or one sentence. Words
 * are lines. */
#include "config/load.h"
#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

enum { WORDS = 12 };

static void
store(const struct cg_command *c)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    EXPECT(cg_settings_new(&s, &err) == 0, "%s", err.text);
    for (size_t i = 0; i < c->noptions; i++) {
        struct cg_value v = cg_value_copy(&c->options[i].value);
        if (cg_settings_set(s, c->options[i].id, v, CG_LAYER_CLI,
                            "command line", &err) < 0) {
            EXPECT(err.text[0] != '\0', "no reason");
            cg_value_release(&v);
        }
    }
    cg_settings_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    cg_auto(free) char *text = cg_strndup((const char *)data, n);
    char name[] = "gunicorn", *argv[WORDS + 2] = {name};
    int argc = 1;
    for (char *word = text; word != NULL && argc <= WORDS; argc++) {
        argv[argc] = word;
        word = strchr(word, '\n');
        if (word != NULL) {
            *word++ = '\0';
        }
    }
    struct cg_command c;
    struct cg_error err = {0};
    if (cg_command_parse(argc, argv, &c, &err) < 0) {
        EXPECT(err.text[0] != '\0', "no reason");
        return 0;
    }
    store(&c);
    cg_command_release(&c);
    return 0;
}
