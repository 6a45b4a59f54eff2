/* SPDX-License-Identifier: MIT */
#include "logging/stamp.h"

const char *
cg_stamp_now(struct cg_stamp *s, const char *format)
{
    time_t now = time(NULL);
    if (now != s->second) {
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(s->text, sizeof s->text, format, &tm);
        s->second = now;
    }
    return s->text;
}
