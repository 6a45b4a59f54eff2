/* SPDX-License-Identifier: MIT */
/* The settings table as data; internal to config. */
#ifndef CG_CONFIG_TABLE_H
#define CG_CONFIG_TABLE_H

#include "config/settings.h"

enum cg_type {
    TYPE_BOOL,
    TYPE_UINT,
    TYPE_RANGE,   /* a number, or LEAST-MOST */
    TYPE_SECONDS, /* a decimal number */
    TYPE_STR,
    TYPE_LIST,    /* of strings */
    TYPE_FILES,   /* list of files that exist */
    TYPE_TARGETS, /* list of paths and addresses of http */
    TYPE_CSV,     /* comma string -> list */
    TYPE_ADDRS,   /* comma string of addresses and networks -> list */
    TYPE_DICT,
    TYPE_PAIRS, /* list of strings NAME=VALUE, or a dictionary -> list */
    TYPE_CERTS, /* list of dicts: certfile, keyfile, names */
    TYPE_CLASS, /* import string or class */
    TYPE_HOOK,  /* callable or import string */
    TYPE_USER,
    TYPE_GROUP,
    TYPE_CHDIR,
    TYPE_WORD,     /* one of .words */
    TYPE_ANY,      /* kept as text, never wrong */
    TYPE_PROXY,    /* proxy_protocol's modes */
    TYPE_STATSD,   /* host, host:port or unix:PATH */
    TYPE_PROTOCOLS /* http_protocols' list */
};

enum cg_cli {
    CLI_NONE,
    CLI_ARG,
    CLI_INT,
    CLI_AUTOINT, /* a leading zero is octal */
    CLI_FLAG,
    CLI_FALSE, /* a flag that stores False */
    CLI_APPEND,
    CLI_OPTIONAL /* argument may be left out */
};

struct cg_row {
    const char *name;
    enum cg_type type;
    const char *section, *help;
    const char *def;      /* as typed; NULL: None, [], {} or no hook */
    const char *theirs;   /* gunicorn's default where it is another one … */
    const char *why;      /* … and the reason */
    const char *qualname; /* how gunicorn prints a hook that is not set */
    const char *flags;    /* "-w --workers" */
    enum cg_cli cli;
    const char *meta;          /* what --help calls the argument */
    const char *words, *wrong; /* a number may have words, too (auto) */
    int64_t least, most; /* of a number; most 0: no bound. wrong says it */
    int arity;
    bool ours, reload;
};

extern const struct cg_row cg_rows[CG_SETTING_COUNT];

/* validate/: turns *v into the validated form. err has gunicorn's text. */
int cg_validate(const struct cg_row *row, struct cg_value *v,
                struct cg_error *err);
/* Splits "a,b"; a value of kind LIST. */
struct cg_value cg_split_commas(const char *text);
/* statsd_host: the host in lower case and the port, or the path and -1. */
bool cg_split_statsd(const char *text, char **ret_host, int *ret_port);
/* Python's int(text, base) for base 10, and 0 as gunicorn's auto_int. */
bool cg_int_parse(const char *text, int base, int64_t *ret);
/* yaml.c: one value in YAML's flow style, "{a: 1}" (environment variables). */
int cg_yaml_parse_value(const char *text, struct cg_value *ret,
                        struct cg_error *err);
/* The value as --print-config shows it. */
void cg_value_print(const struct cg_row *row, const struct cg_value *v,
                    struct cg_buf *out);

#endif
