/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs this process may use: not the host's count, but what the
 * affinity mask and the control groups (v1 and v2) leave. Linux only; where
 * nothing is known, the count is the host's.
 */
#ifndef CG_BASE_CPUS_H
#define CG_BASE_CPUS_H

struct cg_cpus {
    int host;     /* online CPUs */
    int affinity; /* CPUs in the mask */
    double quota; /* CPUs' worth of time per period; 0: no limit */
    int count;    /* the least of them, rounded up, at least 1 */
};

/* root is "" for the system; tests name a folder that has proc/ and sys/. */
void cg_cpus_read(const char *root, struct cg_cpus *ret);

#endif
