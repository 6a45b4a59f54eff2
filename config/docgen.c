/* SPDX-License-Identifier: MIT */
/*
 * Writes docs/settings.md, the reference of all settings, on standard output.
 * A program of its own: it reads the table and is no part of the server.
 */
#include <stdio.h>
#include <string.h>

#include "config/table.h"

static const char *
type_text(const struct cg_row *row)
{
    switch (row->type) {
    case TYPE_BOOL: return "`True` or `False`";
    case TYPE_UINT: return "a whole number, 0 or more";
    case TYPE_STR: return "a string, or `None`";
    case TYPE_LIST: return "a list of strings, or one string";
    case TYPE_FILES: return "a list of files that exist, or of patterns";
    case TYPE_CSV: return "a string, parts separated by commas";
    case TYPE_ADDRS:
        return "addresses and networks, separated by commas, "
               "or `*`";
    case TYPE_DICT: return "a dictionary";
    case TYPE_CLASS: return "a name, an import string or a class";
    case TYPE_HOOK: return "a function, or an import string";
    case TYPE_USER: return "a name or a number";
    case TYPE_GROUP: return "a name or a number";
    case TYPE_CHDIR: return "a directory that exists";
    case TYPE_WORD: return "a word";
    case TYPE_ANY: return "anything";
    case TYPE_PROXY: return "`off`, `v1`, `v2`, `auto`, or `True`, `False`";
    case TYPE_STATSD: return "`host`, `host:port` or `unix:PATH`, or `None`";
    case TYPE_PROTOCOLS: return "`h1` and `h2`, separated by a comma";
    }
    return "";
}

static const char *
none_text(const struct cg_row *row)
{
    switch (row->type) {
    case TYPE_LIST:
    case TYPE_FILES: return "`[]`";
    case TYPE_DICT: return "`{}`";
    case TYPE_HOOK: return "no function";
    case TYPE_USER: return "the user that starts the server";
    case TYPE_GROUP: return "the group that starts the server";
    case TYPE_CHDIR: return "the directory that the server is started in";
    default: return "`None`";
    }
}

/* "`-w INT`, `--workers INT`" */
static void
put_flags(const struct cg_row *row)
{
    for (const char *f = row->flags; *f != '\0';) {
        size_t n = strcspn(f, " ");
        const char *before = row->cli == CLI_OPTIONAL ? " [" : " ";
        const char *after = row->cli == CLI_OPTIONAL ? "]" : "";
        printf("%s`%.*s%s%s%s`", f == row->flags ? "" : ", ", (int)n, f,
               row->meta != NULL ? before : "",
               row->meta != NULL ? row->meta : "",
               row->meta != NULL ? after : "");
        f += n + (f[n] == ' ');
    }
}

static void
put_words(const struct cg_row *row)
{
    for (const char *w = row->words; *w != '\0';) {
        size_t n = strcspn(w, " ");
        printf("%s`%.*s`", w == row->words ? "" : ", ", (int)n, w);
        w += n + (w[n] == ' ');
    }
}

static void
put_default(const struct cg_row *row)
{
    if (row->def == NULL) {
        printf("%s", none_text(row));
    } else if (row->def[0] == '\0') {
        printf("an empty string");
    } else if (row->type == TYPE_BOOL) {
        printf("`%s`", row->def[0] == 't' ? "True" : "False");
    } else {
        printf("`%s`", row->def);
    }
}

static void
put_row(const struct cg_row *row)
{
    printf("\n### %s\n\n%s\n\n", row->name, row->help);
    if (row->later) {
        printf("*Accepted, without effect yet: setting it gives a "
               "warning.*\n\n");
    }
    printf("- Value: ");
    if (row->type == TYPE_WORD) {
        put_words(row);
    } else {
        printf("%s", type_text(row));
    }
    if (row->type == TYPE_HOOK) {
        printf(row->arity == 1 ? " (1 parameter)" : " (%d parameters)",
               row->arity);
    }
    printf("\n- Default: ");
    put_default(row);
    printf("\n");
    if (row->flags != NULL) {
        printf("- Command line: ");
        put_flags(row);
        printf("%s\n", row->cli == CLI_APPEND ? " (may be repeated)" : "");
    }
    if (!row->later) {
        printf("- A change takes effect: %s\n",
               row->reload ? "on a reload (HUP)" : "on a restart");
    }
    if (row->ours) {
        printf("- Not in gunicorn\n");
    }
}

static void
put_preface(void)
{
    printf(
        "<!-- Made from config/settings.def by config/docgen.c. -->\n"
        "# Settings\n\n"
        "Settings come from these places; a later one beats an earlier "
        "one:\n\n"
        "1. the defaults below;\n"
        "2. the environment: `WEB_CONCURRENCY` (workers), `PORT` (bind), "
        "`FORWARDED_ALLOW_IPS`;\n"
        "3. one configuration file: `-c FILE`, else `gunicorn.conf.py` in the "
        "directory that the server is started in;\n"
        "4. the environment variable `GUNICORN_CMD_ARGS`, options as on the "
        "command line;\n"
        "5. the command line.\n\n"
        "A configuration file is Python, or YAML when its name ends in "
        "`.yaml` or `.yml`. In Python, each setting is a variable; in YAML, a "
        "key. YAML understands `${NAME}` and `${NAME:-default}`, anchors and "
        "`<<`, and writes `true`, `false` and `null`. `cgunicorn "
        "--print-config` shows what comes out.\n");
}

int
main(void)
{
    const char *section = "";
    put_preface();
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            printf("\n## %s\n", section);
        }
        put_row(row);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
