/* SPDX-License-Identifier: MIT */
/* What the kernel tells about other processes, and about us. */
#ifndef CG_BASE_PROCESS_H
#define CG_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Where the kernel has it, as /proc/PID/stat says: "R" runs, "S" waits, "D"
 * waits for a device, "T" is stopped, "Z" is dead; "?" if that is not known. */
char cg_process_state(int pid);
/* One that is dead and not reaped yet is no process any more: below a PID 1
 * that waits for nobody it stays for ever. */
bool cg_process_is_alive(int pid);

/* What it has used and holds; zeros where the kernel does not tell. */
struct cg_process_costs {
    uint64_t cpu_us;
    uint64_t rss_bytes;
};
struct cg_process_costs cg_process_costs(int pid);
/* Its memory with that which it shares counted in parts; 0: not known. The
 * kernel walks all of it: about a millisecond for each 100 MiB. */
uint64_t cg_process_pss(int pid);

/* What a core file has of this process's memory: the kernel's bits, see
 * core(5); or -errno. */
int cg_process_core_filter(void);
int cg_process_set_core_filter(int filter);
/*
 * From now on a core file of this process, and of those that it forks, has
 * nothing of its memory: for who holds keys of TLS. The filter of core files
 * does that. PR_SET_DUMPABLE would give /proc/PID to root, and with it take
 * from a server that is not root what it and its tools read there; it is used
 * only where there is no /proc. RLIMIT_CORE does not hold for a core_pattern
 * that is a program. What is executed inherits the filter. 0 or -errno.
 */
int cg_process_no_core(void);

#endif
