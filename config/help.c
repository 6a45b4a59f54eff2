/* SPDX-License-Identifier: MIT */
/* --help and the usage line, from the table. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/load.h"
#include "config/table.h"
#include "core/base/memory.h"

enum { INDENT = 26 };

static int
width_of(FILE *to)
{
    struct winsize w;
    const char *columns = getenv("COLUMNS");
    int n = columns != NULL ? atoi(columns) : 0;
    if (n <= 0 && ioctl(fileno(to), TIOCGWINSZ, &w) == 0) {
        n = w.ws_col;
    }
    return n >= 50 ? (n < 120 ? n : 120) : 80;
}

void
cg_command_usage(const char *prog, FILE *to)
{
    fprintf(to, "usage: %s [OPTIONS] [APP_MODULE]\n", prog);
}

static void
put_wrapped(FILE *to, const char *text, int column, int width)
{
    int at = column;
    while (*text != '\0') {
        int n = (int)strcspn(text, " ");
        if (at > INDENT && at + 1 + n > width) {
            fprintf(to, "\n%*s", INDENT, "");
            at = INDENT;
        } else if (at > INDENT) {
            fputc(' ', to);
            at++;
        }
        fprintf(to, "%.*s", n, text);
        at += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', to);
}

static void
put_row(FILE *to, const char *flags, const char *meta, const char *help,
        const char *def, int width)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "  ");
    for (const char *f = flags; *f != '\0'; f++) {
        cg_buf_puts(&b, *f == ' ' ? ", " : (char[]){*f, '\0'});
    }
    if (meta != NULL) {
        cg_buf_putf(&b, " %s", meta);
    }
    int n = (int)b.n;
    if (n >= INDENT - 1) {
        fprintf(to, "%s\n%*s", cg_buf_str(&b), INDENT, "");
    } else {
        fprintf(to, "%-*s", INDENT, cg_buf_str(&b));
    }
    cg_auto(free) char *text = def != NULL && *def != '\0'
                                   ? cg_strf("%s [%s]", help, def)
                                   : cg_strdup(help);
    put_wrapped(to, text, INDENT, width);
}

void
cg_command_help(const char *prog, FILE *to)
{
    int width = width_of(to);
    const char *section = "";
    cg_command_usage(prog, to);
    fputs("\nAPP_MODULE is module:object, e.g. app.wsgi or\n"
          "shop:app or \"shop:create_app()\".\n\n",
          to);
    put_row(to, "-h --help", NULL, "Show this text and exit.", NULL, width);
    put_row(to, "-v --version", NULL, "Show the version and exit.", NULL,
            width);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        if (row->flags == NULL) {
            continue;
        }
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            fprintf(to, "\n%s:\n", section);
        }
        bool plain = row->cli == CLI_FLAG || row->cli == CLI_FALSE;
        cg_auto(free) char *help =
            row->later ? cg_strf("%s (not available yet)", row->help)
                       : cg_strdup(row->help);
        put_row(to, row->flags, row->meta, help, plain ? NULL : row->def,
                width);
    }
}
