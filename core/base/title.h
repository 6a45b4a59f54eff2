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
/* The last one, as it was set; NULL: none was. Valid until the next. */
const char *cg_title_get(void);

/*
 * Others that set titles (setproctitle, of which several projects carry a copy)
 * find this memory by walking back from environ[0] over the arguments, once,
 * when they start. Between these two calls, on one thread, everything lies
 * there as the kernel laid it. Then environ is again what it was before, and a
 * title of ours is shown again.
 */
void cg_title_lend(void);
void cg_title_take_back(void);
/* The name of the process in the kernel (ps -o comm), which others set, too. */
void cg_title_name_process(void);

#endif
