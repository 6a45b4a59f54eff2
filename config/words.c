/* SPDX-License-Identifier: MIT */
/* Words of a line, split as a POSIX shell (and Python's shlex) does. */
#include <errno.h>
#include <string.h>

#include "config/table.h"
#include "core/base/memory.h"

static const char blanks[] = " \t\r\n";

/* One word at *p. */
static int
split_word(const char **p, struct cg_buf *word)
{
    char quote = '\0';
    for (; **p != '\0'; ++*p) {
        char c = **p;
        if (quote == '\0' && strchr(blanks, c) != NULL) {
            return 0;
        }
        if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == '\\' && quote != '\'' &&
                   (quote == '\0' || strchr("\"\\", (*p)[1]) != NULL)) {
            if (*++*p == '\0') {
                return -EINVAL;
            }
            cg_buf_putc(word, **p);
        } else {
            cg_buf_putc(word, c);
        }
    }
    return quote != '\0' ? -EINVAL : 0;
}

int
cg_split_words(const char *text, struct cg_value *ret)
{
    struct cg_value list = cg_value_list();
    for (const char *p = text + strspn(text, blanks); *p != '\0';
         p += strspn(p, blanks)) {
        cg_auto(buf) struct cg_buf word = {0};
        if (split_word(&p, &word) < 0) {
            cg_value_release(&list);
            return -EINVAL;
        }
        cg_value_push(&list, cg_value_str(cg_buf_str(&word)));
    }
    *ret = list;
    return 0;
}
