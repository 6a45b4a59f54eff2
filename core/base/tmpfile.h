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

#endif
