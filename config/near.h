/* SPDX-License-Identifier: MIT */
/* How near two words are, for "did you mean". */
#ifndef CG_CONFIG_NEAR_H
#define CG_CONFIG_NEAR_H

#include <stddef.h>

/* Letters to change, add or leave out to make b of a; 99 for long words. */
size_t cg_word_distance(const char *a, const char *b);

#endif
