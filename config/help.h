/* SPDX-License-Identifier: MIT */
/* Text within the width of a terminal; internal to config. */
#ifndef CG_CONFIG_HELP_H
#define CG_CONFIG_HELP_H

#include <stdio.h>

/* COLUMNS, else the terminal's, else 80; from 40 to 120. */
int cg_help_width(FILE *to);
/* Words from the column where the line is, wrapped and indented to `indent`.
 * Ends with a newline. */
void cg_help_wrap(FILE *to, const char *text, int indent, int width);

#endif
