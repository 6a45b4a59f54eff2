/* SPDX-License-Identifier: MIT */
/* Capacity: how much memory and disk there is for this process. */
#ifndef CG_BASE_CAPACITY_H
#define CG_BASE_CAPACITY_H

#include <stdint.h>

/* Bytes of memory: the machine's, or what the control groups allow. root as in
 * cg_cgroup_least. */
uint64_t cg_capacity_memory(const char *root);
/* Bytes that are free for us where that folder is; 0: not known. */
uint64_t cg_capacity_disk(const char *dir);

#endif
