/* SPDX-License-Identifier: MIT */
/* Process titles: "gunicorn: master [name]" in ps, as monitoring greps for. */
#ifndef CG_BASE_TITLE_H
#define CG_BASE_TITLE_H

/* Once, first thing in main: finds the memory of argv and environ and moves
 * environ out of it. argv must have been copied by who needs it. */
void cg_title_init(int argc, char **argv);
/* The same in a process whose main is somebody else's: asks the kernel where
 * that memory is. What nobody copied in it is lost. */
void cg_title_find(void);
/* "gunicorn: ROLE [NAME]"; cut to the room there is. */
void cg_title_set(const char *role, const char *name);

#endif
