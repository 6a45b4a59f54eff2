/* SPDX-License-Identifier: MIT */
/* Shedding: a copy of a process gives back the memory it will never use. */
#ifndef CG_BASE_SHED_H
#define CG_BASE_SHED_H

/*
 * In a process that was forked or cloned, never executes anything else, and
 * from here on uses nothing but its stack, the C library's wrappers of system
 * calls and constants: drops the heap and all other large memory of its own.
 * Allocates nothing, takes no lock. Nothing happens where /proc is not there,
 * and in builds with a sanitizer, whose memory is not ours to judge.
 */
void cg_memory_shed(void);

#endif
