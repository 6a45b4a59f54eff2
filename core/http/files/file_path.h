/* SPDX-License-Identifier: MIT */
/*
 * File path: a request's path as the name of a file below a folder. What could
 * lead anywhere else, or to what is hidden, is refused here by its text; that
 * the system does not leave the folder is the opener's to see.
 */
#ifndef CG_HTTP_FILE_PATH_H
#define CG_HTTP_FILE_PATH_H

#include <stdbool.h>

#include "core/base/bytes.h"

/* Without its percent signs, appended to out. False: one of them has no two hex
 * digits behind it, or stands for NUL. Once only: %252e is %2e. */
bool cg_path_decode(struct cg_slice path, struct cg_buf *out);

/* Whether a decoded path (without a slash in front) names something that may be
 * served: no empty segment but the last, none that begins with a dot, no NUL.
 * "" is the folder itself. */
bool cg_path_is_plain(struct cg_slice path);

/* Whether `path` is `prefix`, or lies below it: *ret_rest is what follows, from
 * its slash on. A prefix has a slash in front and none at its end; "" has all.
 */
bool cg_path_is_below(struct cg_slice path, struct cg_slice prefix,
                      struct cg_slice *ret_rest);

/* Whether the last segment has a part that only a build tool would make, of
 * eight or more hex digits, letters and figures: app.3f2a91c4.js. */
bool cg_path_is_hashed(struct cg_slice path);

#endif
