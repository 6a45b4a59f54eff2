/* SPDX-License-Identifier: MIT */
/* --help and the usage line, from the table. */
#include "config/help.h"
#include "config/operations.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/load.h"
#include "config/table.h"
#include "core/base/memory.h"

enum { INDENT = 26, INDENT_NARROW = 8, NARROW = 60 };

int
cg_help_width(FILE *to)
{
    struct winsize w;
    const char *columns = getenv("COLUMNS");
    int n = columns != NULL ? atoi(columns) : 0;
    if (n <= 0 && ioctl(fileno(to), TIOCGWINSZ, &w) == 0) {
        n = w.ws_col;
    }
    n = n <= 0 ? 80 : n;
    return n < 40 ? 40 : n > 120 ? 120 : n;
}

void
cg_help_wrap(FILE *to, const char *text, int indent, int width)
{
    int at = indent;
    while (*text != '\0') {
        int n = (int)strcspn(text, " ");
        if (at > indent && at + 1 + n > width) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', to);
            at++;
        }
        fprintf(to, "%.*s", n, text);
        at += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', to);
}

void
cg_command_usage(const char *prog, FILE *to)
{
    fprintf(to, "usage: %s [OPTIONS] [APP_MODULE]\n", prog);
}

/* The column where an option's help starts. */
static int
indent_of(int width)
{
    return width < NARROW ? INDENT_NARROW : INDENT;
}

/* Two columns; the first one alone on its line when it is long. */
static void
put_columns(FILE *to, const char *left, const char *right, int width)
{
    int indent = indent_of(width);
    if ((int)strlen(left) + 2 >= indent - 1) {
        fprintf(to, "  %s\n%*s", left, indent, "");
    } else {
        fprintf(to, "  %-*s", indent - 2, left);
    }
    cg_help_wrap(to, right, indent, width);
}

static void
put_row(FILE *to, const char *flags, const char *meta, const char *help,
        const char *def, int width)
{
    cg_auto(buf) struct cg_buf b = {0};
    for (const char *f = flags; *f != '\0'; f++) {
        cg_buf_puts(&b, *f == ' ' ? ", " : (char[]){*f, '\0'});
    }
    if (meta != NULL) {
        cg_buf_putf(&b, " %s", meta);
    }
    cg_auto(free) char *text = def != NULL && *def != '\0'
                                   ? cg_strf("%s [%s]", help, def)
                                   : cg_strdup(help);
    put_columns(to, cg_buf_str(&b), text, width);
}

void
cg_command_version(const char *prog, FILE *to)
{
    if (strcmp(prog, "gunicorn") == 0) {
        fprintf(to, "gunicorn (version %s, cgunicorn %s)\n",
                CG_GUNICORN_VERSION, CG_VERSION);
    } else {
        fprintf(to, "%s (version %s)\n", prog, CG_VERSION);
    }
}

static void
put_preface(const char *prog, FILE *to, int width)
{
    static const char *const commands[][2] = {
        {"config explain [NAME...]",
         "What each setting is, where its value came from, when a change takes "
         "effect."},
        {"config diff FILE FILE", "How two configurations differ."},
        {"config convert FILE",
         "A Python configuration as YAML, or YAML as Python."},
        {"check [APP_MODULE]",
         "What a start would find wrong, and what it would not; --json."},
        {"generate KIND [APP_MODULE]",
         "A file that fits the configuration: systemd, docker, kubernetes, "
         "nginx, haproxy, logrotate, supervisor."}};
    cg_command_usage(prog, to);
    fputs("\nAPP_MODULE is module:object, e.g. app.wsgi or\n"
          "shop:app or \"shop:create_app()\".\n\nCommands:\n",
          to);
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        put_columns(to, commands[i][0], commands[i][1], width);
    }
    fputs("\nA running server (--json, --pid PID, -p PIDFILE, -n NAME):\n", to);
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        const struct cg_operation *op = &cg_operations[i];
        cg_auto(free) char *left =
            cg_strf("%s%s%s%s", op->word, *op->argument != '\0' ? " " : "",
                    op->argument, op->options);
        put_columns(to, left, op->help, width);
    }
}

void
cg_command_help(const char *prog, FILE *to)
{
    int width = cg_help_width(to);
    const char *section = "";
    put_preface(prog, to, width);
    fputc('\n', to);
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
        put_row(to, row->flags, row->meta, row->help, plain ? NULL : row->def,
                width);
    }
}
