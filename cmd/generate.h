/* SPDX-License-Identifier: MIT */
/*
 * `cgunicorn generate systemd|docker|kubernetes|nginx|haproxy|logrotate|
 * supervisor`: files of others that fit a configuration, with the reason of
 * each line. Only with such a second word is it a command: a module that is
 * called `generate` is served as before.
 */
#ifndef CG_CMD_GENERATE_H
#define CG_CMD_GENERATE_H

#include <stdbool.h>
#include <stdio.h>

#include "config/load.h"

bool cg_generate_is(int argc, char *const *argv);
/* The line begins with `generate`, and goes on with no kind of it. */
bool cg_generate_is_none(int argc, char *const *argv);
/* What such a line is told; returns the exit status. */
int cg_generate_say_none(int argc, char *const *argv);
/* Prints the file and returns the exit status: 0; 1 when the configuration is
 * wrong or has nothing to go by; 2 for a wrong command line. As
 * cg_config_command_run. */
int cg_generate_run(const struct cg_load *base);

/* ---- for the files that make one ---- */

/* What a configuration says, in the terms of those who stand around a server.
 * Texts are owned by who made it, or literals. */
struct cg_deployment {
    const char *program;   /* absolute, where that is known */
    const char *directory; /* where it is started */
    const char *config;    /* the configuration file, absolute; NULL: none */
    const char *app;       /* NULL: none is named */
    const char *proc_name; /* NULL: the server has none of its own */
    char name[64];         /* letters, digits and '-': a DNS label */
    const char *unix_path; /* of the first listener; NULL: it is TCP */
    const char *host;      /* of the first TCP listener, "" for any */
    int port;              /* likewise; 8000 without one */
    bool loopback;         /* that host is reached from this machine only */
    bool secure;           /* it speaks TLS */
    bool drops_user;       /* the server itself changes its user */
    bool daemon;           /* it would leave the one that starts it */
    bool bounded;          /* `timeout` bounds a request, too: class sync */
    int request_timeout;
    int timeout, graceful, delay, keepalive, workers;
    long long max_body;                         /* bytes; 0: any */
    const char *live, *ready;                   /* paths; NULL: none */
    const char *pidfile, *errorlog, *accesslog; /* absolute; NULL: none */
    int metrics_port;                           /* 0: none of TCP */
    const char *python;                         /* "3.11" */
    const char *environment; /* for --python; NULL: it needs no name */
    bool control;            /* commands for a running server reach it */
};

/* The command line's words behind the program's name, on this machine. */
void cg_generate_words(const struct cg_deployment *d,
                       void (*put)(FILE *out, const char *word), FILE *out);

void cg_generate_systemd(const struct cg_deployment *d, FILE *out);
void cg_generate_supervisor(const struct cg_deployment *d, FILE *out);
void cg_generate_logrotate(const struct cg_deployment *d, FILE *out);
void cg_generate_docker(const struct cg_deployment *d, FILE *out);
void cg_generate_kubernetes(const struct cg_deployment *d, FILE *out);
void cg_generate_nginx(const struct cg_deployment *d, FILE *out);
void cg_generate_haproxy(const struct cg_deployment *d, FILE *out);

#endif
