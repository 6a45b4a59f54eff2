/* SPDX-License-Identifier: MIT */
/*
 * What is made from the table of settings: a program of its own, no part of
 * the server. Each artefact is a function that writes it; the list is in
 * docgen.c, `make docs` writes all of them, a test compares.
 */
#ifndef CG_CONFIG_DOCGEN_H
#define CG_CONFIG_DOCGEN_H

#include <stdio.h>

#include "config/table.h"

/* docgen_man.c */
void cg_docgen_command_page(FILE *to);
void cg_docgen_file_page(FILE *to);
/* docgen_shell.c */
void cg_docgen_bash(FILE *to);
void cg_docgen_zsh(FILE *to);
void cg_docgen_fish(FILE *to);

/* "a whole number, 0 or more": what a setting takes, in Markdown. */
const char *cg_docgen_type(const struct cg_row *row);
/* The default as a reader of the manual sees it, without quotes. */
const char *cg_docgen_default(const struct cg_row *row);
/* Calls visit for each flag of the row. */
void cg_docgen_each_flag(const struct cg_row *row,
                         void (*visit)(FILE *to, const struct cg_row *row,
                                       const char *flag, size_t n),
                         FILE *to);

#endif
