/* SPDX-License-Identifier: MIT */
/* The generator: docs/settings.md, the list of defaults that differ, and the
 * list of all that is made. */
#include "config/docgen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

void
cg_docgen_each_flag(const struct cg_row *row,
                    void (*visit)(FILE *to, const struct cg_row *row,
                                  const char *flag, size_t n),
                    FILE *to)
{
    for (const char *f = row->flags; f != NULL && *f != '\0';) {
        size_t n = strcspn(f, " ");
        visit(to, row, f, n);
        f += n + (f[n] == ' ');
    }
}

const char *
cg_docgen_type(const struct cg_row *row)
{
    switch (row->type) {
    case TYPE_BOOL: return "`True` or `False`";
    case TYPE_UINT:
        return row->words != NULL ? "a whole number, 0 or more, or `auto`"
                                  : "a whole number, 0 or more";
    case TYPE_RANGE:
        return "a whole number, 0 or more, or a range such as `2-16`";
    case TYPE_SECONDS: return "a number of seconds, such as `0.5`";
    case TYPE_STR: return "a string, or `None`";
    case TYPE_LIST: return "a list of strings, or one string";
    case TYPE_FILES: return "a list of files that exist, or of patterns";
    case TYPE_TARGETS:
        return "a list of paths, or of http:// and https:// URLs";
    case TYPE_CSV: return "a string, parts separated by commas";
    case TYPE_ADDRS:
        return "addresses and networks, separated by commas, "
               "or `*`";
    case TYPE_DICT: return "a dictionary";
    case TYPE_PAIRS:
        return "a list of strings with an equals sign, or a dictionary";
    case TYPE_CERTS: return "a list of dictionaries";
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
    case TYPE_PAIRS:
    case TYPE_CERTS:
    case TYPE_FILES:
    case TYPE_TARGETS: return "`[]`";
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
put_flags(const struct cg_row *row, FILE *to)
{
    for (const char *f = row->flags; *f != '\0';) {
        size_t n = strcspn(f, " ");
        const char *before = row->cli == CLI_OPTIONAL ? " [" : " ";
        const char *after = row->cli == CLI_OPTIONAL ? "]" : "";
        fprintf(to, "%s`%.*s%s%s%s`", f == row->flags ? "" : ", ", (int)n, f,
                row->meta != NULL ? before : "",
                row->meta != NULL ? row->meta : "",
                row->meta != NULL ? after : "");
        f += n + (f[n] == ' ');
    }
}

static void
put_words(const struct cg_row *row, FILE *to)
{
    for (const char *w = row->words; *w != '\0';) {
        size_t n = strcspn(w, " ");
        fprintf(to, "%s`%.*s`", w == row->words ? "" : ", ", (int)n, w);
        w += n + (w[n] == ' ');
    }
}

static void
put_default(const struct cg_row *row, FILE *to)
{
    if (row->def == NULL) {
        fprintf(to, "%s", none_text(row));
    } else if (row->def[0] == '\0') {
        fprintf(to, "an empty string");
    } else if (row->type == TYPE_BOOL) {
        fprintf(to, "`%s`", row->def[0] == 't' ? "True" : "False");
    } else {
        fprintf(to, "`%s`", row->def);
    }
}

static void
put_row(const struct cg_row *row, FILE *to)
{
    fprintf(to, "\n### %s\n\n%s\n\n", row->name, row->help);
    fprintf(to, "- Value: ");
    if (row->type == TYPE_WORD) {
        put_words(row, to);
    } else {
        fprintf(to, "%s", cg_docgen_type(row));
    }
    if (row->type == TYPE_HOOK) {
        fprintf(to, row->arity == 1 ? " (1 parameter)" : " (%d parameters)",
                row->arity);
    }
    fprintf(to, "\n- Default: ");
    put_default(row, to);
    fprintf(to, "\n");
    if (row->flags != NULL) {
        fprintf(to, "- Command line: ");
        put_flags(row, to);
        fprintf(to, "%s\n", row->cli == CLI_APPEND ? " (may be repeated)" : "");
    }
    fprintf(to, "- A change takes effect: %s\n",
            row->reload ? "on a reload (HUP)" : "on a restart");
    if (row->ours) {
        fprintf(to, "- Not in gunicorn\n");
    }
}

static void
put_preface(FILE *to)
{
    fprintf(
        to,
        "<!-- Made from config/settings.def by config/docgen.c. -->\n"
        "# Settings\n\n"
        "Settings come from these places; a later one beats an earlier "
        "one:\n\n"
        "1. the defaults below;\n"
        "2. the environment: `WEB_CONCURRENCY` (workers), `PORT` (bind), "
        "`FORWARDED_ALLOW_IPS`, and `CGUNICORN_` with a setting's name in "
        "capitals for every one of them (`CGUNICORN_TIMEOUT=60`; a list is "
        "split as a shell would, a dictionary is YAML's `{a: b}`); a variable "
        "that is empty counts as not set;\n"
        "3. one configuration file: `-c FILE`, else `gunicorn.conf.py` in the "
        "directory that the server is started in;\n"
        "4. the environment variable `GUNICORN_CMD_ARGS`, options as on the "
        "command line;\n"
        "5. the command line.\n\n"
        "A configuration file is Python, or YAML when its name ends in "
        "`.yaml` or `.yml`. In Python, each setting is a variable; in YAML, a "
        "key. YAML understands `${NAME}` and `${NAME:-default}`, anchors and "
        "`<<`, and writes `true`, `false` and `null`.\n\n"
        "Every setting is there since 0.1.0; one that comes later says so.\n\n"
        "What comes out:\n\n"
        "- `cgunicorn --print-config` shows every value as gunicorn does;\n"
        "- `cgunicorn --check-config` lists what is wrong (values first, then "
        "what they mean "
        "together), and "
        "exits with 0 or 1;\n"
        "- `cgunicorn config explain [NAME...]` says where a value came from, "
        "what it hides and when a change takes effect;\n"
        "- `cgunicorn config diff A B` compares two files;\n"
        "- `cgunicorn config explain --running [NAME...]` says the same of a "
        "server that runs, and `config diff --running` what a reload would "
        "change;\n"
        "- `cgunicorn config convert FILE` turns Python into YAML and YAML "
        "into Python.\n\n"
        "A module of yours that is called `config` is still served by "
        "`cgunicorn config` and `cgunicorn config:app`; only the three words "
        "above make it a command, and `--` ends that: `cgunicorn -- "
        "config`.\n");
}

static void
put_settings(FILE *to)
{
    const char *section = "";
    put_preface(to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            fprintf(to, "\n## %s\n", section);
        }
        put_row(row, to);
    }
}

const char *
cg_docgen_default(const struct cg_row *row)
{
    if (row->def == NULL) {
        static char text[80];
        const char *none = none_text(row);
        size_t n = 0;
        for (; *none != '\0' && n < sizeof text - 1; none++) {
            n += *none != '`' ? (size_t)(text[n] = *none, 1) : 0;
        }
        text[n] = '\0';
        return text;
    }
    if (row->type == TYPE_BOOL) {
        return row->def[0] == 't' ? "True" : "False";
    }
    return row->def[0] == '\0' ? "an empty string" : row->def;
}

/* ---- docs/differences.md ---- */

static const char begin_mark[] = "<!-- defaults: made by config/docgen.c -->\n";
static const char end_mark[] = "<!-- end of defaults -->\n";

static void
put_defaults(FILE *to)
{
    fputs("| setting | gunicorn 27 | cgunicorn | why |\n|---|---|---|---|\n",
          to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        if (row->theirs != NULL) {
            fprintf(to, "| `%s` | `%s` | `%s` | %s |\n", row->name, row->theirs,
                    cg_docgen_default(row), row->why);
        }
    }
}

/* The file is people's but for the part between the marks. */
static void
put_differences(FILE *to)
{
    cg_auto(buf) struct cg_buf old = {0};
    FILE *f = fopen("docs/differences.md", "re");
    for (int c = f != NULL ? getc(f) : EOF; c != EOF; c = getc(f)) {
        cg_buf_putc(&old, (char)c);
    }
    if (f != NULL) {
        fclose(f);
    }
    const char *text = cg_buf_str(&old);
    const char *begin = strstr(text, begin_mark);
    const char *end = begin != NULL ? strstr(begin, end_mark) : NULL;
    if (end == NULL) {
        fprintf(to, "%s\n## Defaults that differ\n\n%s", text, begin_mark);
        end = end_mark;
    } else {
        fwrite(text, 1, (size_t)(begin - text) + sizeof begin_mark - 1, to);
    }
    put_defaults(to);
    fputs(end, to);
}

/* ---- all of it ---- */

struct artefact {
    const char *path;
    void (*put)(FILE *to);
};

static const struct artefact artefacts[] = {
    {"docs/settings.md", put_settings},
    {"docs/differences.md", put_differences},
    {"docs/cgunicorn.1", cg_docgen_command_page},
    {"docs/cgunicorn.conf.5", cg_docgen_file_page},
    {"docs/completion/cgunicorn.bash", cg_docgen_bash},
    {"docs/completion/_cgunicorn", cg_docgen_zsh},
    {"docs/completion/cgunicorn.fish", cg_docgen_fish}};

/* The artefact as text, to be freed. */
static char *
text_of(const struct artefact *a)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    a->put(f);
    fclose(f);
    return text;
}

/* Runs at the top of the tree. */
int
main(void)
{
    for (size_t i = 0; i < CG_COUNT(artefacts); i++) {
        cg_auto(free) char *text = text_of(&artefacts[i]);
        FILE *f = fopen(artefacts[i].path, "we");
        if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
            perror(artefacts[i].path);
            return 1;
        }
    }
    return 0;
}
