/* SPDX-License-Identifier: MIT */
/* Completion for bash, zsh and fish. */
#include <string.h>

#include "config/docgen.h"
#include "config/operations.h"
#include "core/base/memory.h"

/* What follows an option. */
enum follows {
    FOLLOWS_NOTHING,
    FOLLOWS_WORDS,
    FOLLOWS_FILE,
    FOLLOWS_DIR,
    FOLLOWS_TEXT
};

static const char classes[] = "sync gthread gevent eventlet tornado asgi";
static const char levels[] = "debug info warning error critical";
static const char commands[] = "explain diff convert";
static const char kinds[] =
    "systemd docker kubernetes nginx haproxy logrotate supervisor";
/* Of all commands for a running server. */
static const char shared[] = "--json --pid --pidfile --name --timeout --help";

static const char *
words_of(const struct cg_row *row)
{
    if (strcmp(row->name, "worker_class") == 0) {
        return classes;
    }
    return strcmp(row->name, "loglevel") == 0 ? levels : row->words;
}

static enum follows
follows(const struct cg_row *row)
{
    static const char files[] = " FILE FILES CONFIG PATH ";
    if (row->meta == NULL) {
        return FOLLOWS_NOTHING;
    }
    if (words_of(row) != NULL) {
        return FOLLOWS_WORDS;
    }
    if (strcmp(row->meta, "DIR") == 0) {
        return FOLLOWS_DIR;
    }
    cg_auto(free) char *word = cg_strf(" %s ", row->meta);
    return strstr(files, word) != NULL ? FOLLOWS_FILE : FOLLOWS_TEXT;
}

static void
put_head(FILE *to, const char *first)
{
    fprintf(to,
            "%s# SPDX-License-Identifier: MIT\n"
            "# Made from config/settings.def by config/docgen_shell.c.\n",
            first);
}

static void
put_names(FILE *to, const char *between)
{
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        fprintf(to, "%s%s", id > 0 ? between : "", cg_rows[id].name);
    }
}

/* The words that an operation takes: options of its own, then arguments. */
static void
put_own_words(FILE *to, const struct cg_operation *op)
{
    static const char *const all[] = {"--wait", "--now"};
    for (size_t i = 0; i < CG_COUNT(all); i++) {
        if (strstr(op->options, all[i]) != NULL) {
            fprintf(to, " %s", all[i]);
        }
    }
    if (strstr(op->argument, "all") != NULL) {
        fputs(" all", to);
    } else if (strcmp(op->argument, "LEVEL") == 0) {
        fprintf(to, " %s", levels);
    }
}

static void
put_operation_words(FILE *to)
{
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        fprintf(to, " %s", cg_operations[i].word);
    }
}

/* ---- bash ---- */

static void
put_pattern(FILE *to, const struct cg_row *row, const char *flag, size_t n)
{
    fprintf(to, "%s%.*s", flag == row->flags ? "" : " | ", (int)n, flag);
}

/* One branch for an option that takes a word. */
static void
put_branch(FILE *to, const struct cg_row *row)
{
    enum follows f = follows(row);
    if (f == FOLLOWS_NOTHING) {
        return;
    }
    fputs("    ", to);
    cg_docgen_each_flag(row, put_pattern, to);
    fputs(")\n        ", to);
    switch (f) {
    case FOLLOWS_WORDS:
        fprintf(to, "_cgunicorn_words \"$current\" %s\n", words_of(row));
        break;
    case FOLLOWS_FILE:
        fputs("mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n", to);
        break;
    case FOLLOWS_DIR:
        fputs("mapfile -t COMPREPLY < <(compgen -d -- \"$current\")\n", to);
        break;
    case FOLLOWS_TEXT:
    case FOLLOWS_NOTHING: fputs(": # any text\n", to); break;
    }
    fputs("        return\n        ;;\n", to);
}

static void
put_word(FILE *to, const struct cg_row *row, const char *flag, size_t n)
{
    fprintf(to, " \\\n            %.*s", (int)n, flag);
}

void
cg_docgen_bash(FILE *to)
{
    put_head(to, "");
    fputs("_cgunicorn_words() {\n"
          "    local current=$1\n"
          "    shift\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$*\" -- \"$current\")\n"
          "}\n\n"
          "_cgunicorn() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]}\n"
          "    local before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    COMPREPLY=()\n"
          "    # bash splits --option=word into three\n"
          "    if [[ $current == = ]]; then\n"
          "        current=\n"
          "    elif [[ $before == = && $COMP_CWORD -ge 2 ]]; then\n"
          "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    case $before in\n",
          to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        put_branch(to, &cg_rows[id]);
    }
    fputs("    esac\n    case ${COMP_WORDS[1]}:$COMP_CWORD in\n"
          "    *:1) ;;\n",
          to);
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        fprintf(to, "    %s:*) _cgunicorn_words \"$current\" %s",
                cg_operations[i].word, shared);
        put_own_words(to, &cg_operations[i]);
        fputs("; return ;;\n", to);
    }
    fprintf(to,
            "    generate:2) _cgunicorn_words \"$current\" %s; return ;;\n"
            "    esac\n",
            kinds);
    fputs("    if [[ $current == -* ]]; then\n"
          "        _cgunicorn_words \"$current\" --help --version",
          to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        cg_docgen_each_flag(&cg_rows[id], put_word, to);
    }
    fputs("\n        [[ ${COMP_WORDS[1]} != config ]] || COMPREPLY+=($(compgen "
          "-W '--running --pid' -- \"$current\"))\n"
          "        [[ ${COMP_WORDS[1]} != check ]] || COMPREPLY+=($(compgen "
          "-W '--json' -- \"$current\"))",
          to);
    fprintf(to,
            "\n    elif [[ ${COMP_WORDS[1]} == config && $COMP_CWORD -eq 2 ]]; "
            "then\n        _cgunicorn_words \"$current\" %s\n"
            "    elif [[ ${COMP_WORDS[1]} == config && ${COMP_WORDS[2]} == "
            "explain ]]; then\n        _cgunicorn_words \"$current\" \\\n"
            "            ",
            commands);
    put_names(to, " \\\n            ");
    fputs("\n    elif [[ $COMP_CWORD -eq 1 ]]; then\n"
          "        _cgunicorn_words \"$current\" config check generate ctl",
          to);
    put_operation_words(to);
    fputs("\n    fi\n"
          "}\n"
          "complete -o bashdefault -o default -F _cgunicorn cgunicorn\n",
          to);
}

/* ---- zsh ---- */

/* Inside '[…]' of _arguments, in single quotes. */
static void
put_zsh_text(FILE *to, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '\'') {
            fputs("'\\''", to);
        } else if (strchr("[]:\\", *s) != NULL) {
            fprintf(to, "\\%c", *s);
        } else {
            fputc(*s, to);
        }
    }
}

static void
put_zsh_action(FILE *to, const struct cg_row *row)
{
    switch (follows(row)) {
    case FOLLOWS_NOTHING: return;
    case FOLLOWS_WORDS:
        fprintf(to, ":%s:(%s)", row->meta, words_of(row));
        return;
    case FOLLOWS_FILE: fprintf(to, ":%s:_files", row->meta); return;
    case FOLLOWS_DIR: fprintf(to, ":%s:_files -/", row->meta); return;
    case FOLLOWS_TEXT: fprintf(to, ":%s:", row->meta); return;
    }
}

static void
put_zsh_option(FILE *to, const struct cg_row *row, const char *flag, size_t n)
{
    bool is_long = flag[1] == '-', argument = row->meta != NULL;
    bool repeats = row->cli == CLI_APPEND;
    fprintf(to, "        '%s%.*s%s[", repeats ? "*" : "", (int)n, flag,
            !argument ? ""
            : is_long ? "="
                      : "+");
    put_zsh_text(to, row->help);
    fputc(']', to);
    put_zsh_action(to, row);
    fputs("' \\\n", to);
}

void
cg_docgen_zsh(FILE *to)
{
    put_head(to, "#compdef cgunicorn\n");
    fputs("_cgunicorn() {\n"
          "    if (( CURRENT > 2 )); then\n"
          "        case $words[2] in\n",
          to);
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        fprintf(to, "        %s) compadd -- %s", cg_operations[i].word, shared);
        put_own_words(to, &cg_operations[i]);
        fputs("; return ;;\n", to);
    }
    fprintf(
        to,
        "        generate) (( CURRENT > 3 )) || { compadd %s; return; } ;;\n"
        "        check) [[ $PREFIX != -* ]] || compadd -- --json ;;\n"
        "        config) [[ $PREFIX != -* ]] || compadd -- --running --pid "
        ";;\n        esac\n    fi\n",
        kinds);
    fputs("    if (( CURRENT > 2 )) && [[ $words[2] == config ]]; then\n"
          "        if (( CURRENT == 3 )); then\n",
          to);
    fprintf(to, "            compadd %s\n            return\n", commands);
    fputs("        elif [[ $words[3] == explain && $PREFIX != -* ]]; then\n"
          "            compadd ",
          to);
    put_names(to, " ");
    fputs("\n            return\n"
          "        elif [[ $words[3] == (diff|convert) && $PREFIX != -* ]]; "
          "then\n"
          "            _files\n            return\n        fi\n    fi\n"
          "    _arguments -s \\\n"
          "        '(- *)'{-h,--help}'[Show the options and exit.]' \\\n"
          "        '(- *)'{-v,--version}'[Show the version and exit.]' \\\n",
          to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        cg_docgen_each_flag(&cg_rows[id], put_zsh_option, to);
    }
    fputs("        '1:application or command:(config check generate ctl", to);
    put_operation_words(to);
    fputs(")' \\\n"
          "        '*:word:'\n"
          "}\n_cgunicorn \"$@\"\n",
          to);
}

/* ---- fish ---- */

static void
put_fish_text(FILE *to, const char *s)
{
    fputc('\'', to);
    for (; *s != '\0'; s++) {
        fprintf(to, *s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
    }
    fputc('\'', to);
}

static void
put_fish_flag(FILE *to, const struct cg_row *row, const char *flag, size_t n)
{
    bool is_long = flag[1] == '-';
    fprintf(to, " -%s %.*s", is_long ? "l" : "s", (int)n - 1 - is_long,
            flag + 1 + is_long);
}

static void
put_fish_option(FILE *to, const struct cg_row *row)
{
    fputs("complete -c cgunicorn", to);
    cg_docgen_each_flag(row, put_fish_flag, to);
    switch (follows(row)) {
    case FOLLOWS_NOTHING: break;
    case FOLLOWS_WORDS: fprintf(to, " -x -a '%s'", words_of(row)); break;
    case FOLLOWS_FILE: fputs(" -r -F", to); break;
    case FOLLOWS_DIR:
        fputs(" -x -a '(__fish_complete_directories)'", to);
        break;
    case FOLLOWS_TEXT: fputs(" -x", to); break;
    }
    fputs(" -d ", to);
    put_fish_text(to, row->help);
    fputc('\n', to);
}

void
cg_docgen_fish(FILE *to)
{
    put_head(to, "");
    fputs("complete -c cgunicorn -s h -l help -d 'Show the options and exit.'\n"
          "complete -c cgunicorn -s v -l version -d 'Show the version and "
          "exit.'\n",
          to);
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        if (cg_rows[id].flags != NULL) {
            put_fish_option(to, &cg_rows[id]);
        }
    }
    fprintf(to,
            "complete -c cgunicorn -n __fish_use_subcommand -a config -d "
            "'Explain, compare or convert a configuration'\n"
            "complete -c cgunicorn -n '__fish_seen_subcommand_from config; and "
            "not __fish_seen_subcommand_from %s' -f -a '%s'\n"
            "complete -c cgunicorn -n '__fish_seen_subcommand_from explain' -f "
            "-a '",
            commands, commands);
    put_names(to, " ");
    fputs("'\n", to);
    for (size_t i = 0; i < CG_OPERATIONS; i++) {
        fprintf(to,
                "complete -c cgunicorn -n __fish_use_subcommand -f -a %s -d ",
                cg_operations[i].word);
        put_fish_text(to, cg_operations[i].help);
        fprintf(to,
                "\ncomplete -c cgunicorn -n '__fish_seen_subcommand_from %s' "
                "-f -a '%s",
                cg_operations[i].word, shared);
        put_own_words(to, &cg_operations[i]);
        fputs("'\n", to);
    }
    fprintf(to,
            "complete -c cgunicorn -n __fish_use_subcommand -a check -d 'Find "
            "what a start would find wrong, and more'\n"
            "complete -c cgunicorn -n '__fish_seen_subcommand_from check' -l "
            "json\n"
            "complete -c cgunicorn -n __fish_use_subcommand -f -a generate -d "
            "'Print a file for what stands around the server'\n"
            "complete -c cgunicorn -n '__fish_seen_subcommand_from generate' "
            "-f -a '%s'\n"
            "complete -c cgunicorn -n '__fish_seen_subcommand_from explain "
            "diff' -l running\n",
            kinds);
}
