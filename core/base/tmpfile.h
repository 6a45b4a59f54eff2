/* SPDX-License-Identifier: MIT */
/* Temporary file: it has no name and is gone with its last descriptor. */
#ifndef CG_BASE_TMPFILE_H
#define CG_BASE_TMPFILE_H

/* The folder: dir, or TMPDIR or /tmp when that is NULL or "". */
const char *cg_tmpfile_dir(const char *dir);
/* Opens one in a folder for reading and writing: CLOEXEC, and nobody else may
 * read it. `kind` is what its name says where it needs one for a moment.
 * Returns -errno when there cannot be one. */
int cg_tmpfile_open(const char *dir, const char *kind);
/* Closes unless -1, sets -1. The kernel frees a gigabyte in a fifth of a second
 * and more: a large file is closed by a thread that exists only for that, or by
 * the caller when there can be none. */
void cg_tmpfile_close(int *fd);

#endif
