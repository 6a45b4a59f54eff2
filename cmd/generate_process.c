/* SPDX-License-Identifier: MIT */
/* Files for those who start a server and look after it on one machine: systemd,
 * supervisor, logrotate. */
#include <string.h>

#include "cmd/generate.h"
#include "core/base/memory.h"

/* ---- systemd ---- */

/* systemd.service(5), "Command lines": quotes, specifiers, variables. */
static void
put_for_systemd(FILE *out, const char *word)
{
    fputs(" \"", out);
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\') {
            fputc('\\', out);
        } else if (*word == '%' || *word == '$') {
            fputc(*word, out);
        }
        fputc(*word, out);
    }
    fputc('"', out);
}

/* A path outside of command lines: specifiers alone. */
static void
put_path(FILE *out, const char *path)
{
    for (; *path != '\0'; path++) {
        if (*path == '%') {
            fputc('%', out);
        }
        fputc(*path, out);
    }
}

static void
put_capabilities(const struct cg_deployment *d, FILE *out)
{
    bool low = d->unix_path == NULL && d->port < 1024;
    if (d->drops_user) {
        fputs("# the server changes the user of its workers itself\n"
              "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_CHOWN "
              "CAP_DAC_OVERRIDE CAP_KILL CAP_NET_BIND_SERVICE\n",
              out);
        return;
    }
    fputs("# nothing runs as root: create this user, or name another\n"
          "User=www-data\nGroup=www-data\n",
          out);
    if (low) {
        fputs("# a port below 1024\n"
              "AmbientCapabilities=CAP_NET_BIND_SERVICE\n"
              "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n",
              out);
    } else {
        fputs("CapabilityBoundingSet=\n", out);
    }
}

/* The name of a folder of /run that the path lies in; 0: none. */
static size_t
run_folder(const char *path, const char **ret)
{
    static const char run[] = "/run/";
    if (path == NULL || strncmp(path, run, sizeof run - 1) != 0) {
        return 0;
    }
    *ret = path + sizeof run - 1;
    const char *slash = strchr(*ret, '/');
    return slash != NULL ? (size_t)(slash - *ret) : 0;
}

/* Folders of /run are gone after a boot: systemd makes them. */
static void
put_run_folders(const struct cg_deployment *d, FILE *out)
{
    const char *a = NULL, *b = NULL;
    size_t na = run_folder(d->unix_path, &a), nb = run_folder(d->pidfile, &b);
    if (na == nb && na > 0 && memcmp(a, b, na) == 0) {
        nb = 0;
    }
    if (na + nb == 0) {
        return;
    }
    fputs("# for the socket and the pidfile; kept when it starts anew\n"
          "RuntimeDirectory=",
          out);
    fprintf(out, "%.*s%s%.*s\nRuntimeDirectoryPreserve=restart\n", (int)na,
            na > 0 ? a : "", na > 0 && nb > 0 ? " " : "", (int)nb,
            nb > 0 ? b : "");
}

static bool
is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return path != NULL && strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* Of a file that is written; homes are read-only otherwise. */
static void
put_writable(const char *path, FILE *out)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL || slash == path ||
        !(is_below(path, "/home") || is_below(path, "/root"))) {
        return;
    }
    cg_auto(free) char *folder = cg_strndup(path, (size_t)(slash - path));
    fputs("ReadWritePaths=", out);
    put_path(out, folder);
    fputs("\n", out);
}

static void
put_places(const struct cg_deployment *d, FILE *out)
{
    bool tmp =
        is_below(d->directory, "/tmp") || is_below(d->directory, "/var/tmp");
    put_run_folders(d, out);
    fprintf(out, "%sPrivateTmp=%s\n",
            tmp ? "# the project lies below /tmp\n" : "", tmp ? "no" : "yes");
    put_writable(d->errorlog, out);
    put_writable(d->accesslog, out);
    put_writable(d->pidfile, out);
    put_writable(d->unix_path, out);
}

/* systemd gives a reload TimeoutStartSec, 90 s. */
static void
put_reload(const struct cg_deployment *d, FILE *out)
{
    if (!d->control) {
        fputs("\n# HUP: new workers serve before the old ones stop. How it "
              "ended is in the log:\n"
              "# control = False keeps `cgunicorn reload --wait` out\n"
              "ExecReload=/bin/kill -HUP $MAINPID\n",
              out);
        return;
    }
    fputs("\n# new workers serve before the old ones stop; `systemctl reload` "
          "fails when\n"
          "# it was rolled back, and the old code goes on serving\n"
          "ExecReload=\"",
          out);
    put_path(out, d->program);
    fputs("\" ctl reload --wait --timeout 80 --pid $MAINPID\n", out);
}

void
cg_generate_systemd(const struct cg_deployment *d, FILE *out)
{
    fprintf(out,
            "# /etc/systemd/system/%s.service, then:\n"
            "#   systemctl daemon-reload; systemctl enable --now %s\n"
            "[Unit]\nDescription=%s, served by cgunicorn\n"
            "After=network.target\n\n[Service]\n",
            d->name, d->name, d->name);
    fputs("# READY=1 comes when all workers serve; a slow boot is announced\n"
          "Type=notify\nNotifyAccess=main\nWorkingDirectory=",
          out);
    put_path(out, d->directory);
    fputs("\nExecStart=\"", out);
    put_path(out, d->program);
    fputs("\"", out);
    cg_generate_words(d, put_for_systemd, out);
    if (d->daemon) {
        fputs(
            "\n# the configuration says daemon = True: take that out, systemd "
            "has to see it run",
            out);
    }
    put_reload(d, out);
    fputs("# TERM goes to the master alone, which finishes what is under way\n"
          "KillMode=mixed\n",
          out);
    fprintf(out,
            "# shutdown_delay (%d s), graceful_timeout (%d s) and some more\n"
            "TimeoutStopSec=%d\n",
            d->delay, d->graceful, d->delay + d->graceful + 10);
    fputs("# a master whose loop does not turn is started anew\n"
          "WatchdogSec=30\nRestart=on-failure\n"
          "# each connection is a descriptor\n"
          "LimitNOFILE=65536\n",
          out);
    put_capabilities(d, out);
    put_places(d, out);
    fputs("# what a web application has no need of\n"
          "NoNewPrivileges=yes\nPrivateDevices=yes\n"
          "ProtectSystem=full\nProtectHome=read-only\nProtectClock=yes\n"
          "ProtectHostname=yes\nProtectControlGroups=yes\n"
          "ProtectKernelLogs=yes\nProtectKernelModules=yes\n"
          "ProtectKernelTunables=yes\nRestrictNamespaces=yes\n"
          "RestrictRealtime=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n"
          "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n"
          "SystemCallArchitectures=native\n"
          "SystemCallFilter=@system-service\n\n"
          "[Install]\nWantedBy=multi-user.target\n",
          out);
}

/* ---- supervisor ---- */

/* Split as a shell would, and expanded with %(name)s. */
static void
put_for_supervisor(FILE *out, const char *word)
{
    fputs(" \"", out);
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\') {
            fputc('\\', out);
        } else if (*word == '%') {
            fputc('%', out);
        }
        fputc(*word, out);
    }
    fputc('"', out);
}

void
cg_generate_supervisor(const struct cg_deployment *d, FILE *out)
{
    fprintf(out, "; /etc/supervisor/conf.d/%s.conf\n[program:%s]\ncommand=\"",
            d->name, d->name);
    put_path(out, d->program);
    fputs("\"", out);
    cg_generate_words(d, put_for_supervisor, out);
    fputs("\ndirectory=", out);
    put_path(out, d->directory);
    fputs("\n", out);
    fputs(d->drops_user ? "; the server changes the user of its workers "
                          "itself\n"
                        : "; nothing runs as root\nuser=www-data\n",
          out);
    fprintf(
        out,
        "autostart=true\nautorestart=true\n"
        "; TERM to the master alone: it finishes what is under way, within\n"
        "; shutdown_delay (%d s) and graceful_timeout (%d s)\n"
        "stopsignal=TERM\nstopasgroup=false\nstopwaitsecs=%d\n"
        "; workers of a master that had to be killed go, too\n"
        "killasgroup=true\n"
        "; logs, where the configuration names no files\n"
        "redirect_stderr=true\nstdout_logfile=/var/log/%s.log\n",
        d->delay, d->graceful, d->delay + d->graceful + 10, d->name);
}

/* ---- logrotate ---- */

static void
put_quoted(FILE *out, const char *path)
{
    fputc('"', out);
    for (; *path != '\0'; path++) {
        if (*path == '"' || *path == '\\') {
            fputc('\\', out);
        }
        fputc(*path, out);
    }
    fputs("\"\n", out);
}

static void
put_for_shell(FILE *out, const char *word)
{
    fputs(" '", out);
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            fputs("'\\'", out);
        }
        fputc(*word, out);
    }
    fputc('\'', out);
}

void
cg_generate_logrotate(const struct cg_deployment *d, FILE *out)
{
    fprintf(out, "# /etc/logrotate.d/%s\n", d->name);
    if (d->errorlog != NULL) {
        put_quoted(out, d->errorlog);
    }
    if (d->accesslog != NULL &&
        (d->errorlog == NULL || strcmp(d->errorlog, d->accesslog) != 0)) {
        put_quoted(out, d->accesslog);
    }
    fputs(
        "{\n    daily\n    rotate 14\n    missingok\n    notifempty\n"
        "    # the last one is still written to until the files are reopened\n"
        "    compress\n    delaycompress\n"
        "    # all of them, then one signal\n    sharedscripts\n"
        "    # USR1: master and workers open the files again, no line is "
        "lost\n    postrotate\n",
        out);
    if (d->pidfile != NULL) {
        fputs("        if [ -s", out);
        put_for_shell(out, d->pidfile);
        fputs(" ]; then kill -USR1 \"$(cat", out);
        put_for_shell(out, d->pidfile);
        fputs(")\"; fi\n", out);
    } else {
        fputs("       ", out);
        put_for_shell(out, d->program);
        fputs(" reopen", out);
        if (d->proc_name != NULL) {
            fputs(" -n", out);
            put_for_shell(out, d->proc_name);
        }
        fputs(" > /dev/null || true\n", out);
    }
    fputs("    endscript\n}\n", out);
}
