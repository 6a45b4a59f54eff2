/* SPDX-License-Identifier: MIT */
/* The command line, as Python's argparse reads it (gunicorn-compat 1.3). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "config/near.h"
#include "config/table.h"
#include "core/base/memory.h"

enum { OPT_HELP = CG_SETTING_COUNT, OPT_VERSION };
enum { LONG_FLAG = 8 };

struct parser {
    int argc;
    char *const *argv;
    int at; /* the next word */
    struct cg_command *cmd;
    bool had_words; /* the one run of positionals is over or under way */
    bool in_words;
    bool keep_words;     /* all of them, wherever they stand */
    struct cg_buf extra; /* unrecognized words */
    char *hint;          /* what the first of them may have meant */
    struct cg_error *err;
};

/* ---- flags ---- */

static const char *
flags_of(int id)
{
    if (id == OPT_HELP) {
        return "-h --help";
    }
    return id == OPT_VERSION ? "-v --version" : cg_rows[id].flags;
}

static enum cg_cli
cli_of(int id)
{
    return id >= CG_SETTING_COUNT ? CLI_FLAG : cg_rows[id].cli;
}

/* Calls visit for every flag word; a non-zero answer ends it. */
static int
each_flag(int (*visit)(void *self, int id, const char *flag, size_t n),
          void *self)
{
    for (int i = 0; i <= OPT_VERSION; i++) {
        /* --help and --version come first, as where messages list them */
        int id = i < 2 ? CG_SETTING_COUNT + i : i - 2;
        const char *f = flags_of(id);
        while (f != NULL && *f != '\0') {
            size_t n = strcspn(f, " ");
            int r = visit(self, id, f, n);
            if (r != 0) {
                return r;
            }
            f += n + (f[n] == ' ');
        }
    }
    return 0;
}

struct search {
    const char *word;
    size_t n;
    bool prefix, ours;
    int id, count;
    struct cg_buf names;
};

static bool
is_ours(int id)
{
    return id < CG_SETTING_COUNT && cg_rows[id].ours;
}

static int
match(void *self, int id, const char *flag, size_t n)
{
    struct search *s = self;
    if (s->prefix && is_ours(id) != s->ours) {
        return 0;
    }
    if (s->prefix ? n < s->n : n != s->n) {
        return 0;
    }
    if (memcmp(flag, s->word, s->n) != 0) {
        return 0;
    }
    s->id = id;
    s->count++;
    if (s->names.n > 0) {
        cg_buf_puts(&s->names, ", ");
    }
    cg_buf_put(&s->names, flag, n);
    return s->prefix ? 0 : 1;
}

/* "-w/--workers", as argparse names an option in its messages. */
static void
put_option_name(int id, struct cg_buf *b)
{
    for (const char *f = flags_of(id); *f != '\0'; f++) {
        cg_buf_putc(b, *f == ' ' ? '/' : *f);
    }
}

static int
fail(struct parser *p, int id, const char *text)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "argument ");
    put_option_name(id, &b);
    return cg_error_set(p->err, EINVAL, "%s: %s", cg_buf_str(&b), text);
}

/* ---- values ---- */

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* strtoll's base 0 knows 0x and the leading zero; Python's 0o, 0b not. */
static int
base_of(const char **text)
{
    const char *t = *text;
    if (t[0] != '0' || ((t[1] | 32) != 'o' && (t[1] | 32) != 'b') ||
        !is_digit(t[2])) {
        return 0;
    }
    *text += 2;
    return (t[1] | 32) == 'o' ? 8 : 2;
}

bool
cg_int_parse(const char *text, int base, int64_t *ret)
{
    char digits[64];
    size_t n = 0;
    text += strspn(text, " \t\r\n\v\f");
    if (*text == '-' || *text == '+') {
        digits[n++] = *text++;
    }
    if (!is_digit(*text)) {
        return false;
    }
    base = base == 0 ? base_of(&text) : base;
    for (; *text != '\0' && *text != ' ' && n < sizeof digits - 1; text++) {
        if (*text == '_' && is_digit(text[-1]) && is_digit(text[1])) {
            continue;
        }
        digits[n++] = *text;
    }
    text += strspn(text, " \t\r\n\v\f");
    digits[n] = '\0';
    char *end;
    errno = 0;
    *ret = strtoll(digits, &end, base);
    return *end == '\0' && *text == '\0' && errno == 0;
}

static bool
is_word_of(int id, const char *text)
{
    return id < CG_SETTING_COUNT && cg_rows[id].words != NULL &&
           strcmp(cg_rows[id].words, text) == 0;
}

/* What is wrong with it the setting says. */
static bool
may_be_range(int id, const char *text)
{
    return id < CG_SETTING_COUNT && cg_rows[id].type == TYPE_RANGE &&
           text[0] != '-' && strchr(text, '-') != NULL;
}

static int
convert(struct parser *p, int id, const char *text, struct cg_value *ret)
{
    enum cg_cli cli = cli_of(id);
    int64_t n;
    if (cli != CLI_INT && cli != CLI_AUTOINT) {
        *ret = cg_value_str(text);
        return 0;
    }
    if (is_word_of(id, text) || may_be_range(id, text)) {
        *ret = cg_value_str(text);
        return 0;
    }
    if (cg_int_parse(text, cli == CLI_AUTOINT ? 0 : 10, &n)) {
        *ret = cg_value_int(n);
        return 0;
    }
    cg_auto(buf) struct cg_buf b = {0};
    struct cg_value v = cg_value_str(text);
    cg_buf_putf(&b, "invalid %s value: ", cli == CLI_INT ? "int" : "auto_int");
    cg_value_repr(&v, &b);
    cg_value_release(&v);
    return fail(p, id, cg_buf_str(&b));
}

static void
add_option(struct cg_command *c, int id, struct cg_value v)
{
    c->options = cg_realloc(c->options, (c->noptions + 1) * sizeof *c->options);
    c->options[c->noptions].id = (enum cg_setting_id)id;
    c->options[c->noptions++].value = v;
}

static int
take(struct parser *p, int id, const char *text)
{
    struct cg_value v;
    if (id == OPT_HELP || id == OPT_VERSION) {
        p->cmd->help = p->cmd->help || id == OPT_HELP;
        p->cmd->version = p->cmd->version || id == OPT_VERSION;
        return 0;
    }
    if (text == NULL) {
        enum cg_cli cli = cli_of(id);
        v = cli == CLI_OPTIONAL ? cg_value_str("auto")
                                : cg_value_bool(cli != CLI_FALSE);
    } else {
        int r = convert(p, id, text, &v);
        if (r < 0) {
            return r;
        }
    }
    add_option(p->cmd, id, v);
    return 0;
}

/* ---- words ---- */

/* Exactly the flag, else the flags that begin so: gunicorn's before ours, so
 * that what we add makes none of its abbreviations ambiguous. Gives s->names
 * to free. */
static void
find_long(const char *word, struct search *s)
{
    *s = (struct search){.word = word, .n = strcspn(word, "="), .id = -1};
    each_flag(match, s);
    for (int ours = 0; ours <= 1 && s->count == 0; ours++) {
        s->prefix = true;
        s->ours = ours;
        each_flag(match, s);
    }
}

static int
find_short(char letter)
{
    char word[3] = {'-', letter, '\0'};
    struct search s = {.word = word, .n = 2, .id = -1};
    each_flag(match, &s);
    cg_buf_release(&s.names);
    return s.count > 0 ? s.id : -1;
}

static bool
is_known_option(const char *word)
{
    struct search s;
    if (word[1] != '-') {
        return find_short(word[1]) >= 0;
    }
    find_long(word, &s);
    cg_buf_release(&s.names);
    return s.count > 0;
}

static bool
is_negative_number(const char *word)
{
    const char *digits = word + 1;
    return word[0] == '-' && *digits != '\0' &&
           strspn(digits, "0123456789.") == strlen(digits);
}

/* A blank makes a word only of what is no option: --name="my app" is one. */
static bool
looks_like_option(const char *word)
{
    if (word[0] != '-' || word[1] == '\0') {
        return false;
    }
    return is_known_option(word) ||
           (!is_negative_number(word) && strchr(word, ' ') == NULL);
}

static bool
takes_argument(int id)
{
    enum cg_cli cli = cli_of(id);
    return cli == CLI_ARG || cli == CLI_INT || cli == CLI_AUTOINT ||
           cli == CLI_APPEND || cli == CLI_OPTIONAL;
}

/* An option without a glued value: takes the next word if it needs one. */
static int
option_alone(struct parser *p, int id)
{
    if (!takes_argument(id)) {
        return take(p, id, NULL);
    }
    bool there = p->at < p->argc && !looks_like_option(p->argv[p->at]) &&
                 strcmp(p->argv[p->at], "--") != 0;
    if (there) {
        return take(p, id, p->argv[p->at++]);
    }
    return cli_of(id) == CLI_OPTIONAL ? take(p, id, NULL)
                                      : fail(p, id, "expected one argument");
}

static int
option_glued(struct parser *p, int id, const char *text)
{
    if (takes_argument(id)) {
        return take(p, id, text);
    }
    cg_auto(buf) struct cg_buf b = {0};
    struct cg_value v = cg_value_str(text);
    cg_buf_puts(&b, "ignored explicit argument ");
    cg_value_repr(&v, &b);
    cg_value_release(&v);
    return fail(p, id, cg_buf_str(&b));
}

struct nearest {
    const char *word;
    char *flag;
    size_t distance;
};

static int
compare_flag(void *self, int id, const char *flag, size_t n)
{
    struct nearest *best = self;
    char *text = cg_strndup(flag, n);
    size_t d = cg_word_distance(best->word, text);
    if (d >= best->distance) {
        free(text);
        return 0;
    }
    free(best->flag);
    best->flag = text;
    best->distance = d;
    return 0;
}

/* The long flag of a setting, "--workers". */
static char *
long_flag(int id)
{
    const char *f = cg_rows[id].flags;
    f = f[1] != '-' && strchr(f, ' ') != NULL ? strchr(f, ' ') + 1 : f;
    return cg_strndup(f, strcspn(f, " "));
}

/* What the user may have meant, "; did you mean '--workers'?"; NULL: no idea.
 */
static char *
hint_for(const char *word)
{
    cg_auto(free) char *flag = cg_strndup(word, strcspn(word, "="));
    cg_auto(free) char *name = cg_strdup(flag);
    if (strncmp(flag, "--", 2) != 0 || strlen(flag) < 6) {
        return NULL;
    }
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c;
    }
    int id = cg_setting_find(name + 2);
    if (id >= 0 && cg_rows[id].flags == NULL) {
        return cg_strf("; %s is for configuration files: it has no option",
                       name + 2);
    }
    struct nearest best = {.word = flag,
                           .distance = strlen(flag) < LONG_FLAG ? 2 : 3};
    if (id >= 0) {
        best.flag = long_flag(id);
    } else {
        each_flag(compare_flag, &best);
    }
    cg_auto(free) char *found = best.flag;
    return found != NULL ? cg_strf("; did you mean '%s'?", found) : NULL;
}

static void
put_extra(struct parser *p, const char *word)
{
    if (p->hint == NULL) {
        p->hint = hint_for(word);
    }
    if (p->extra.n > 0) {
        cg_buf_putc(&p->extra, ' ');
    }
    cg_buf_puts(&p->extra, word);
}

static int
on_long(struct parser *p, const char *word)
{
    const char *equals = strchr(word, '=');
    struct search s;
    find_long(word, &s);
    cg_auto(buf) struct cg_buf names = s.names;
    if (s.count > 1 && s.prefix) {
        return cg_error_set(p->err, EINVAL,
                            "ambiguous option: %s could match %s", word,
                            cg_buf_str(&names));
    }
    if (s.count == 0) {
        put_extra(p, word);
        return 0;
    }
    return equals != NULL ? option_glued(p, s.id, equals + 1)
                          : option_alone(p, s.id);
}

/* -w4, -w=4, -w 4, and clusters such as -DR. */
static int
on_short(struct parser *p, const char *word)
{
    for (const char *c = word + 1; *c != '\0'; c++) {
        int id = find_short(*c);
        if (id < 0) {
            if (c == word + 1) {
                put_extra(p, word);
                return 0;
            }
            /* -D=1 is an option and its argument, -Dx a cluster */
            return option_glued(p, find_short(c[-1]),
                                c + (*c == '=' && c == word + 2));
        }
        if (takes_argument(id)) {
            const char *rest = c + 1;
            rest += *rest == '=';
            return c[1] != '\0' ? take(p, id, rest) : option_alone(p, id);
        }
        int r = take(p, id, NULL);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* The first word is the application; others of the same run are ignored, as
 * argparse's nargs="*" makes it; a later run is an error. */
static void
on_word(struct parser *p, const char *word)
{
    if (p->keep_words) {
        struct cg_command *c = p->cmd;
        c->words = cg_realloc(c->words, (c->nwords + 1) * sizeof *c->words);
        c->words[c->nwords++] = word;
        return;
    }
    if (p->had_words && !p->in_words) {
        put_extra(p, word);
        return;
    }
    if (!p->had_words) {
        p->cmd->app = word;
    }
    p->had_words = p->in_words = true;
}

static int
parse_words(struct parser *p)
{
    bool only_words = false;
    while (p->at < p->argc) {
        const char *word = p->argv[p->at++];
        int r = 0;
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && looks_like_option(word)) {
            p->in_words = false;
            r = word[1] == '-' ? on_long(p, word) : on_short(p, word);
        } else {
            on_word(p, word);
        }
        if (r < 0) {
            return r;
        }
        if (p->cmd->help || p->cmd->version) {
            return 0; /* argparse acts at once */
        }
    }
    if (p->extra.n > 0) {
        return cg_error_set(p->err, EINVAL, "unrecognized arguments: %s%s",
                            cg_buf_str(&p->extra),
                            p->hint != NULL ? p->hint : "");
    }
    return 0;
}

const char *
cg_command_program(int argc, char *const *argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    return strcmp(name, "gunicorn") == 0 ? "gunicorn" : "cgunicorn";
}

static int
parse(int argc, char *const *argv, bool keep_words, struct cg_command *ret_cmd,
      struct cg_error *err)
{
    struct cg_command cmd = {0};
    struct parser p = {.argc = argc,
                       .argv = argv,
                       .at = 1,
                       .cmd = &cmd,
                       .keep_words = keep_words,
                       .err = err};
    cmd.prog = cg_command_program(argc, argv);
    int r = parse_words(&p);
    cg_buf_release(&p.extra);
    free(p.hint);
    if (r < 0) {
        cg_command_release(&cmd);
        return r;
    }
    *ret_cmd = cmd;
    return 0;
}

int
cg_command_parse(int argc, char *const *argv, struct cg_command *ret_cmd,
                 struct cg_error *err)
{
    return parse(argc, argv, false, ret_cmd, err);
}

int
cg_command_parse_words(int argc, char *const *argv, struct cg_command *ret_cmd,
                       struct cg_error *err)
{
    return parse(argc, argv, true, ret_cmd, err);
}

void
cg_command_release(struct cg_command *c)
{
    for (size_t i = 0; i < c->noptions; i++) {
        cg_value_release(&c->options[i].value);
    }
    free(c->options);
    free(c->words);
    *c = (struct cg_command){0};
}
