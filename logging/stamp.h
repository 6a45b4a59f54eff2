/* SPDX-License-Identifier: MIT */
/* Stamp: the local time as text, made once a second. One for a thread. */
#ifndef CG_LOGGING_STAMP_H
#define CG_LOGGING_STAMP_H

#include <time.h>

/* Zeroed memory is an empty one. */
struct cg_stamp {
    time_t second;
    char text[64];
};

/* Now, in a format of strftime, always the same one for a stamp. Valid until
 * the next call. */
const char *cg_stamp_now(struct cg_stamp *s, const char *format);

#endif
