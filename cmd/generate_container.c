/* SPDX-License-Identifier: MIT */
/* Files for containers: a Dockerfile, and objects of Kubernetes. */
#include <string.h>

#include "cmd/generate.h"

/* A string of JSON, which is one of YAML, too. */
static void
put_json(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

/* In the image the configuration lies beside the application. */
static const char *
config_name(const struct cg_deployment *d)
{
    const char *slash = d->config != NULL ? strrchr(d->config, '/') : NULL;
    return slash != NULL ? slash + 1 : d->config;
}

static void
put_words(const struct cg_deployment *d, FILE *out)
{
    fputs("\"cgunicorn\"", out);
    if (d->config != NULL) {
        fputs(", \"-c\", ", out);
        put_json(out, config_name(d));
    }
    /* nobody outside of the container reaches its loopback, or a file */
    if (d->loopback || d->unix_path != NULL) {
        fprintf(out, ", \"--bind\", \"0.0.0.0:%d\"", d->port);
    }
}

void
cg_generate_docker(const struct cg_deployment *d, FILE *out)
{
    fprintf(out,
            "# Dockerfile\nFROM python:%s-slim-bookworm\n"
            "WORKDIR /app\n"
            "# first what changes seldom\n"
            "COPY requirements.txt ./\n"
            "RUN pip install --no-cache-dir -r requirements.txt\n"
            "COPY . .\n"
            "# lines of print() are not held back\n"
            "ENV PYTHONUNBUFFERED=1\n"
            "# not root; a number, so that Kubernetes can tell\n"
            "USER 1000:1000\n"
            "EXPOSE %d\n"
            "# the master finishes what is under way: run with\n"
            "#   docker run --stop-timeout %d\n"
            "STOPSIGNAL SIGTERM\n"
            "# asks the server over its control channel; no port, no request\n"
            "HEALTHCHECK --interval=10s --timeout=5s --start-period=60s "
            "CMD [\"cgunicorn\", \"status\", \"--json\"]\n"
            "# no shell: signals reach the master\n"
            "CMD [",
            d->python, d->port, d->delay + d->graceful + 10);
    put_words(d, out);
    fputs(", ", out);
    put_json(out, d->app);
    fputs("]\n", out);
}

static void
put_probe(FILE *out, const char *name, const char *path, bool secure,
          const char *rest)
{
    fprintf(out, "        %s:\n          httpGet:\n            path: ", name);
    put_json(out, path);
    fprintf(out, "\n            port: http\n            scheme: %s\n%s",
            secure ? "HTTPS" : "HTTP", rest);
}

static void
put_pod(const struct cg_deployment *d, int delay, int metrics, FILE *out)
{
    fprintf(out,
            "    spec:\n"
            "      # shutdown_delay (%d s), graceful_timeout (%d s) and more\n"
            "      terminationGracePeriodSeconds: %d\n"
            "      securityContext:\n        runAsNonRoot: true\n"
            "        runAsUser: 1000\n        seccompProfile:\n"
            "          type: RuntimeDefault\n      containers:\n"
            "      - name: web\n        image: %s:latest\n        args: [",
            delay, d->graceful, delay + d->graceful + 10, d->name);
    put_words(d, out);
    if (d->live == NULL) {
        fputs(", \"--health-path\", \"/healthz\"", out);
    }
    if (d->ready == NULL) {
        fputs(", \"--ready-path\", \"/readyz\"", out);
    }
    if (d->delay == 0) {
        fprintf(out, ", \"--shutdown-delay\", \"%d\"", delay);
    }
    fprintf(out, ", \"--metrics-bind\", \"0.0.0.0:%d\", ", metrics);
    put_json(out, d->app);
    fprintf(out,
            "]\n        ports:\n        - name: http\n"
            "          containerPort: %d\n        - name: metrics\n"
            "          containerPort: %d\n"
            "        # one of `workers = auto` is a CPU\n        resources:\n"
            "          requests:\n            cpu: \"%d\"\n"
            "            memory: %dMi\n          limits:\n"
            "            memory: %dMi\n        securityContext:\n"
            "          allowPrivilegeEscalation: false\n"
            "          capabilities:\n            drop: [\"ALL\"]\n",
            d->port, metrics, d->workers > 0 ? d->workers : 1,
            128 * (d->workers > 0 ? d->workers : 1),
            512 * (d->workers > 0 ? d->workers : 1));
    fputs("        # answered by the server in C, also while all workers run "
          "requests;\n"
          "        # 503 while it is drained: no preStop sleep is needed\n",
          out);
    put_probe(out, "readinessProbe", d->ready ? d->ready : "/readyz", d->secure,
              "          periodSeconds: 2\n          failureThreshold: 1\n");
    put_probe(out, "livenessProbe", d->live ? d->live : "/healthz", d->secure,
              "          periodSeconds: 10\n          failureThreshold: 3\n");
    put_probe(out, "startupProbe", d->live ? d->live : "/healthz", d->secure,
              "          periodSeconds: 2\n          failureThreshold: 60\n");
}

void
cg_generate_kubernetes(const struct cg_deployment *d, FILE *out)
{
    int delay = d->delay > 0 ? d->delay : 5;
    int metrics = d->metrics_port > 0 ? d->metrics_port : 9100;
    fprintf(out,
            "# kubectl apply -f -\napiVersion: apps/v1\nkind: Deployment\n"
            "metadata:\n  name: %s\nspec:\n  replicas: 2\n"
            "  strategy:\n    rollingUpdate:\n"
            "      # a new one serves before an old one goes\n"
            "      maxUnavailable: 0\n      maxSurge: 1\n"
            "  selector:\n    matchLabels:\n      app: %s\n"
            "  template:\n    metadata:\n      labels:\n        app: %s\n"
            "      annotations:\n        prometheus.io/scrape: \"true\"\n"
            "        prometheus.io/port: \"%d\"\n",
            d->name, d->name, d->name, metrics);
    put_pod(d, delay, metrics, out);
    fprintf(out,
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n"
            "spec:\n  selector:\n    app: %s\n  ports:\n  - name: http\n"
            "    port: %d\n    targetPort: http\n---\n"
            "# scales on requests that run at the same time; needs a metrics "
            "adapter\n"
            "# (prometheus-adapter, KEDA) that serves the pods' metrics\n"
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
            "metadata:\n  name: %s\nspec:\n  scaleTargetRef:\n"
            "    apiVersion: apps/v1\n    kind: Deployment\n    name: %s\n"
            "  minReplicas: 2\n  maxReplicas: 10\n  metrics:\n"
            "  - type: Pods\n    pods:\n      metric:\n"
            "        name: cgunicorn_busy_executors\n      target:\n"
            "        type: AverageValue\n        averageValue: \"%d\"\n",
            d->name, d->name, d->secure ? 443 : 80, d->name, d->name,
            d->workers > 1 ? d->workers * 7 / 10 > 0 ? d->workers * 7 / 10 : 1
                           : 1);
}
