/* SPDX-License-Identifier: MIT */
/* cgunicorn(1) and cgunicorn.conf(5). */
#include <string.h>

#include "config/docgen.h"
#include "config/operations.h"
#include "core/base/memory.h"

/* Text for roff: hyphens are minus signs, nothing is a request. */
static void
put_text_n(FILE *to, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\') {
            fputs("\\e", to);
        } else if (s[i] == '-') {
            fputs("\\-", to);
        } else if ((s[i] == '.' || s[i] == '\'') &&
                   (i == 0 || s[i - 1] == '\n')) {
            fprintf(to, "\\&%c", s[i]);
        } else {
            fputc(s[i], to);
        }
    }
}

static void
put_text(FILE *to, const char *s)
{
    put_text_n(to, s, strlen(s));
}

static void
put_line(FILE *to, const char *s)
{
    put_text(to, s);
    fputc('\n', to);
}

/* ---- options ---- */

static void
put_flag(FILE *to, const struct cg_row *row, const char *flag, size_t n)
{
    fputs(flag == row->flags ? "" : ", ", to);
    fputs("\\fB", to);
    put_text_n(to, flag, n);
    fputs("\\fR", to);
    if (row->meta != NULL) {
        bool may = row->cli == CLI_OPTIONAL;
        fprintf(to, " %s\\fI%s\\fR%s", may ? "[" : "", row->meta,
                may ? "]" : "");
    }
}

static void
put_option(FILE *to, const struct cg_row *row)
{
    fputs(".TP\n", to);
    cg_docgen_each_flag(row, put_flag, to);
    fputc('\n', to);
    put_line(to, row->help);
    bool argument = row->cli != CLI_FLAG && row->cli != CLI_FALSE;
    if (argument && row->def != NULL && row->def[0] != '\0') {
        fputs("Default: ", to);
        put_text(to, row->def);
        fputs(".\n", to);
    }
}

static void
put_options(FILE *to)
{
    const char *section = "";
    fputs(".SH OPTIONS\n"
          "Options are those of gunicorn, with its abbreviations; they may "
          "stand before and after the application.\n"
          ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow the options and exit.\n"
          ".TP\n\\fB\\-v\\fR, \\fB\\-\\-version\\fR\nShow the version and "
          "exit.\n",
          to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        if (row->flags == NULL) {
            continue;
        }
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            fprintf(to, ".SS %s\n", section);
        }
        put_option(to, row);
    }
}

/* ---- tables of words ---- */

struct entry {
    const char *term, *text;
};

static void
put_entries(FILE *to, const struct entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fputs(".TP\n\\fB", to);
        put_text(to, e[i].term);
        fputs("\\fR\n", to);
        put_line(to, e[i].text);
    }
}

#define PUT_ENTRIES(to, ...)                                                   \
    do {                                                                       \
        static const struct entry entries[] = {__VA_ARGS__};                   \
        put_entries(to, entries, sizeof entries / sizeof entries[0]);          \
    } while (0)

static void
put_operations(FILE *to)
{
    fputs(".SS Commands for a running server\nThey find the servers of this "
          "user by themselves. Of several, \\fB\\-\\-pid\\fR \\fIPID\\fR, "
          "\\fB\\-p\\fR \\fIPIDFILE\\fR or \\fB\\-n\\fR \\fINAME\\fR "
          "names one. \\fB\\-\\-json\\fR prints the answer for programs, "
          "\\fB\\-\\-timeout\\fR \\fISECONDS\\fR bounds the waiting (120). A "
          "module of yours that has the name of a command is served; "
          "\\fBcgunicorn ctl\\fR \\fICOMMAND\\fR is always the command.\n",
          to);
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        const struct cg_operation *op = &cg_operations[i];
        cg_auto(free) char *term =
            cg_strf("%s%s%s%s", op->word, *op->argument != '\0' ? " " : "",
                    op->argument, op->options);
        put_entries(to, &(struct entry){term, op->help}, 1);
    }
}

static void
put_commands(FILE *to)
{
    fputs(".SH COMMANDS\n", to);
    PUT_ENTRIES(
        to,
        {"config explain [NAME...] [OPTIONS]",
         "What each setting is, where its value came from, what it hides, its "
         "default, and when a change takes effect."},
        {"config diff FILE FILE",
         "How two configurations differ. Exits with 0 when they do not, and "
         "with 1 when they do."},
        {"config explain|diff --running [--pid PID]",
         "The same of a server that runs; diff compares it with what its "
         "command line and files say now, as a reload would read them, or with "
         "the OPTIONS given."},
        {"config convert FILE",
         "A Python configuration as YAML, or YAML as Python, on standard "
         "output. What the other cannot say is told."},
        {"check [--json] [--strict] [OPTIONS] [APP_MODULE]",
         "What a start would find wrong, and what it would not: limits of the "
         "system, what the import of the application costs and leaves behind. "
         "Exits with 0, with 1 for an error, and with 3 for warnings if "
         "--strict is given."},
        {"generate KIND [OPTIONS] [APP_MODULE]",
         "A file that fits the configuration, with the reason of each line, on "
         "standard output. KIND is systemd, docker, kubernetes, nginx, "
         "haproxy, logrotate or supervisor."});
    fputs(".PP\nA module of yours that is called config is still served by "
          "\\fBcgunicorn config\\fR and \\fBcgunicorn config:app\\fR; after "
          "\\fB\\-\\-\\fR there are no commands.\n",
          to);
    put_operations(to);
}

static void
put_signals(FILE *to)
{
    fputs(".SH SIGNALS\nThe master understands:\n", to);
    PUT_ENTRIES(to, {"TERM", "Stop; requests have graceful_timeout to finish."},
                {"INT, QUIT", "Stop at once."},
                {"HUP", "Load the configuration and the application anew. What "
                        "fails leaves the old one serving."},
                {"TTIN, TTOU", "One worker more, one less."},
                {"USR1", "Open the log files anew."},
                {"USR2", "Start a new master beside this one, from the same "
                         "command and with the same sockets."},
                {"WINCH",
                 "In a daemon: stop the workers, gracefully; HUP "
                 "brings them back. In the foreground it does nothing, "
                 "which the log says."});
    fputs(".PP\nA worker understands:\n", to);
    PUT_ENTRIES(to, {"TERM", "Finish what runs, then end."},
                {"INT, QUIT", "End at once."},
                {"ABRT", "What the master sends after timeout: the hook "
                         "worker_abort, then the end."},
                {"USR1", "Open the log files anew."});
}

static void
put_environment(FILE *to)
{
    fputs(".SH ENVIRONMENT\nA variable that is empty counts as not set.\n", to);
    PUT_ENTRIES(
        to, {"GUNICORN_CMD_ARGS", "Options, as on the command line."},
        {"WEB_CONCURRENCY", "The number of workers, or auto."},
        {"PORT", "A port to listen on, on all addresses."},
        {"FORWARDED_ALLOW_IPS", "Proxies that are trusted."},
        {"SENDFILE", "Whether files leave through sendfile: yes or no."},
        {"CGUNICORN_SETTING",
         "Any setting, by its name in capitals: CGUNICORN_TIMEOUT=60. Lists "
         "are split as a shell would, a dictionary is YAML's {a: b}."},
        {"CGUNICORN_PYTHON, VIRTUAL_ENV",
         "The Python environment to use, when \\-\\-python names none."});
}

static void
put_statuses(FILE *to)
{
    fputs(".SH EXIT STATUS\n", to);
    PUT_ENTRIES(to, {"0", "Stopped as asked, or the check found nothing."},
                {"1", "The configuration or the start failed."},
                {"2", "The command line is wrong."},
                {"3", "A worker could not boot."},
                {"4", "The application could not be loaded."});
}

static void
put_examples(FILE *to)
{
    fputs(".SH EXAMPLES\n", to);
    PUT_ENTRIES(to,
                {"cgunicorn shop:app", "Serve app of the module shop on "
                                       "127.0.0.1:8000."},
                {"cgunicorn -w 4 -b :8080 'shop:create_app()'",
                 "Four workers, all addresses, an application that a function "
                 "makes."},
                {"cgunicorn -c prod.yaml --check-config project.wsgi",
                 "Everything that is wrong with a configuration."});
}

static void
put_title(FILE *to, const char *name, int section, const char *what)
{
    fprintf(to,
            ".\\\" SPDX-License-Identifier: MIT\n"
            ".\\\" Made from config/settings.def by config/docgen_man.c.\n"
            ".TH %s %d \"\" \"cgunicorn %s\"\n.SH NAME\n",
            name, section, CG_VERSION);
    put_line(to, what);
}

void
cg_docgen_command_page(FILE *to)
{
    put_title(to, "CGUNICORN", 1,
              "cgunicorn - application server for Python, in place of "
              "gunicorn");
    fputs(".SH SYNOPSIS\n.B cgunicorn\n[\\fIOPTIONS\\fR] "
          "[\\fIAPP_MODULE\\fR]\n.br\n.B cgunicorn config "
          "explain\\fR|\\fBdiff\\fR|\\fBconvert\n\\fR...\n"
          ".SH DESCRIPTION\n"
          "Serves a Python application over HTTP with a master and worker "
          "processes. The command line, the configuration files, hooks, "
          "signals and log lines are those of gunicorn.\n.PP\n"
          "\\fIAPP_MODULE\\fR is module:object, or a module whose object is "
          "called application, or module:function() for a function that makes "
          "the application.\n",
          to);
    put_commands(to);
    put_options(to);
    put_signals(to);
    put_environment(to);
    put_statuses(to);
    fputs(".SH FILES\n.TP\n\\fBgunicorn.conf.py\\fR\nThe configuration, in the "
          "directory of the start, when \\fB\\-c\\fR names none.\n",
          to);
    put_examples(to);
    fputs(".SH SEE ALSO\n.BR cgunicorn.conf (5)\n", to);
}

/* ---- cgunicorn.conf(5) ---- */

/* Markdown's quotes are of no use in a manual page. */
static void
put_unquoted(FILE *to, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s != '`') {
            put_text_n(to, s, 1);
        }
    }
}

static void
put_type(FILE *to, const struct cg_row *row)
{
    fputs("Value: ", to);
    if (row->type != TYPE_WORD) {
        put_unquoted(to, cg_docgen_type(row));
    }
    for (const char *w = row->type == TYPE_WORD ? row->words : "";
         *w != '\0';) {
        size_t n = strcspn(w, " ");
        fprintf(to, "%s%.*s", w == row->words ? "" : ", ", (int)n, w);
        w += n + (w[n] == ' ');
    }
    if (row->type == TYPE_UINT && row->words != NULL) {
        fprintf(to, ", or %s", row->words);
    }
    fputs(". Default: ", to);
    put_text(to, cg_docgen_default(row));
    fputs(".\n", to);
}

static void
put_setting(FILE *to, const struct cg_row *row)
{
    fprintf(to, ".TP\n\\fB%s\\fR\n", row->name);
    put_line(to, row->help);
    put_type(to, row);
    fprintf(to, "A change takes effect on a %s.\n",
            row->reload ? "reload (HUP)" : "restart");
    if (row->ours) {
        fputs("Not in gunicorn.\n", to);
    }
}

void
cg_docgen_file_page(FILE *to)
{
    const char *section = "";
    put_title(to, "CGUNICORN.CONF", 5,
              "cgunicorn.conf - configuration files of cgunicorn");
    fputs(".SH DESCRIPTION\n"
          "A configuration is a Python file, as for gunicorn, in which each "
          "setting is a variable; or YAML, when its name ends in .yaml or "
          ".yml, in which each setting is a key. \\fBcgunicorn \\-c\\fR names "
          "it; else gunicorn.conf.py in the directory of the start is read.\n"
          ".PP\nA later source beats an earlier one: defaults, environment, "
          "configuration file, GUNICORN_CMD_ARGS, command line.\n"
          ".PP\nYAML understands ${NAME} and ${NAME:\\-default}, anchors and "
          "<<, and writes true, false and null. Hooks are import strings: "
          "\"hooks:post_fork\".\n"
          ".PP\n\\fBcgunicorn \\-\\-check\\-config\\fR lists what is wrong, "
          "\\fBcgunicorn config explain\\fR says where a value came from.\n",
          to);
    fputs(".SH SETTINGS\n", to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            fprintf(to, ".SS %s\n", section);
        }
        put_setting(to, row);
    }
    fputs(".SH EXAMPLE\n.nf\nbind: 127.0.0.1:8000\nworkers: "
          "${WORKERS:\\-4}\ntimeout: 60\naccesslog: \"\\-\"\npost_fork: "
          "\"hooks:post_fork\"\n.fi\n.SH SEE ALSO\n.BR cgunicorn (1)\n",
          to);
}
