/* SPDX-License-Identifier: MIT */
/* What the kernel tells about other processes. */
#ifndef CG_BASE_PROCESS_H
#define CG_BASE_PROCESS_H

#include <stdbool.h>

/* Where the kernel has it, as /proc/PID/stat says: "R" runs, "S" waits, "D"
 * waits for a device, "T" is stopped, "Z" is dead; "?" if that is not known. */
char cg_process_state(int pid);
/* One that is dead and not reaped yet is no process any more: below a PID 1
 * that waits for nobody it stays for ever. */
bool cg_process_is_alive(int pid);

#endif
