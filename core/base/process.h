/* SPDX-License-Identifier: MIT */
/* What the kernel tells about other processes, and about us. */
#ifndef CG_BASE_PROCESS_H
#define CG_BASE_PROCESS_H

#include <stdbool.h>

/* Where the kernel has it, as /proc/PID/stat says: "R" runs, "S" waits, "D"
 * waits for a device, "T" is stopped, "Z" is dead; "?" if that is not known. */
char cg_process_state(int pid);
/* One that is dead and not reaped yet is no process any more: below a PID 1
 * that waits for nobody it stays for ever. */
bool cg_process_is_alive(int pid);

/*
 * From now on this process, and those that it forks, leave no core file, and
 * nobody but root reads their memory or traces them: for who holds keys of TLS.
 * Ends with the execution of a program. RLIMIT_CORE is left alone, since what
 * workers execute inherits that. 0 or -errno.
 */
int cg_process_no_core(void);

#endif
