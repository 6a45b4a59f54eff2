/* SPDX-License-Identifier: MIT */
/* Files for what stands before a server on the same machine: nginx, HAProxy. */
#include <string.h>

#include "cmd/generate.h"

/* How long a request may take, and what says so. */
static int
longest(const struct cg_deployment *d)
{
    enum { PATIENCE = 60, ANY = 3600, MORE = 5 };
    if (d->request_timeout > 0) {
        return d->request_timeout + MORE;
    }
    if (d->timeout == 0) {
        return ANY;
    }
    return d->bounded || d->timeout + MORE > PATIENCE ? d->timeout + MORE
                                                      : PATIENCE;
}

static void
put_reason(const struct cg_deployment *d, FILE *out)
{
    if (d->request_timeout > 0) {
        fprintf(out,
                "longer than request_timeout (%d s): the server answers first",
                d->request_timeout);
    } else if (d->bounded && d->timeout > 0) {
        fprintf(out,
                "longer than timeout (%d s), after which a worker that is "
                "busy is replaced",
                d->timeout);
    } else {
        fputs("the server ends no request by itself: request_timeout would",
              out);
    }
}

/* A client's address is believed if this peer is trusted. */
static const char *
shown_host(const struct cg_deployment *d)
{
    bool any = *d->host == '\0' || strcmp(d->host, "0.0.0.0") == 0 ||
               strcmp(d->host, "::") == 0;
    return any ? "127.0.0.1" : d->host;
}

static void
put_address(const struct cg_deployment *d, FILE *out)
{
    const char *host = shown_host(d);
    bool v6 = strchr(host, ':') != NULL;
    fprintf(out, "%s%s%s:%d", v6 ? "[" : "", host, v6 ? "]" : "", d->port);
}

void
cg_generate_nginx(const struct cg_deployment *d, FILE *out)
{
    const char *scheme = d->secure ? "https" : "http";
    fprintf(out, "# /etc/nginx/conf.d/%s.conf\nupstream %s {\n    server ",
            d->name, d->name);
    if (d->unix_path != NULL) {
        fprintf(out, "\"unix:%s\"", d->unix_path);
    } else {
        put_address(d, out);
    }
    fputs(
        " fail_timeout=0;\n"
        "    # connections that stay; the server keeps them longer than this\n",
        out);
    fprintf(out, "    keepalive 32;\n    keepalive_timeout %ds;\n}\n\n",
            d->keepalive > 10 ? d->keepalive - 5 : 5);
    fputs("# name your host in server_name: with _ another site that has no "
          "name either,\n"
          "# such as Debian's sites-enabled/default, may answer instead (then "
          "remove that)\n"
          "server {\n    listen 80;\n    server_name _;\n",
          out);
    if (d->max_body > 0) {
        fprintf(out, "    # max_request_body\n    client_max_body_size %lld;\n",
                d->max_body);
    } else {
        fputs("    # the application decides (nginx: 1 MB)\n"
              "    client_max_body_size 0;\n",
              out);
    }
    fprintf(out, "    location / {\n        proxy_pass %s://%s;\n", scheme,
            d->name);
    fputs(
        "        proxy_http_version 1.1;\n"
        "        proxy_set_header Connection \"\";\n"
        "        proxy_set_header Host $http_host;\n"
        "        # believed from those in forwarded_allow_ips; a client's own "
        "is replaced\n"
        "        proxy_set_header X-Forwarded-For $remote_addr;\n"
        "        proxy_set_header X-Forwarded-Proto $scheme;\n"
        "        # the request's id, which the setting request_id = "
        "\"X-Request-ID\" takes\n"
        "        proxy_set_header X-Request-ID $request_id;\n"
        "        # when it came, for the queue time in access lines: "
        "%({queue}x)s\n"
        "        proxy_set_header X-Request-Start \"t=${msec}\";\n",
        out);
    fputs("        # ", out);
    put_reason(d, out);
    fprintf(out,
            "\n        proxy_read_timeout %ds;\n"
            "        # the server buffers requests and replies itself\n"
            "        proxy_request_buffering off;\n"
            "        # with a second server in upstream: it is asked when the "
            "first does not\n"
            "        # answer (a POST that was sent already is not sent "
            "again)\n"
            "        proxy_next_upstream error timeout;\n    }\n}\n",
            longest(d));
}

void
cg_generate_haproxy(const struct cg_deployment *d, FILE *out)
{
    fprintf(out,
            "# a part of /etc/haproxy/haproxy.cfg\n"
            "frontend %s-front\n    mode http\n    bind :80\n"
            "    timeout client 75s\n"
            "    # the request's id, which the setting request_id = "
            "\"X-Request-ID\" takes, and\n"
            "    # when it came, for the queue time in access lines: "
            "%%({queue}x)s\n"
            "    http-request set-header X-Request-ID %%[uuid()]\n"
            "    http-request set-header X-Request-Start "
            "t=%%[date(0,us)]\n"
            "    http-request set-header X-Forwarded-Proto %%[ssl_fc,iif("
            "https,http)]\n"
            "    # believed from those in forwarded_allow_ips\n"
            "    option forwardfor\n"
            "    default_backend %s\n\n",
            d->name, d->name);
    fprintf(out, "backend %s\n    mode http\n    timeout connect 5s\n    # ",
            d->name);
    put_reason(d, out);
    fprintf(out,
            "\n    timeout server %ds\n"
            "    # connections that stay are shared\n"
            "    http-reuse safe\n"
            "    # a connection that was just closed is tried again, and no "
            "client sees it\n"
            "    retry-on conn-failure empty-response\n    retries 2\n",
            longest(d));
    if (d->ready != NULL) {
        fprintf(out,
                "    # ready_path: 503 while it is drained or about to stop\n"
                "    option httpchk GET %s\n    http-check expect status 200\n",
                d->ready);
    } else {
        fputs("    # ready_path is not set: only whether it listens is "
              "checked\n",
              out);
    }
    fputs("    server one ", out);
    if (d->unix_path != NULL) {
        fprintf(out, "unix@%s", d->unix_path);
    } else {
        put_address(d, out);
    }
    fprintf(out, "%s check inter 1s fall 1 rise 1\n",
            d->secure ? " ssl verify none" : "");
}
