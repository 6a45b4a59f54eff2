/* SPDX-License-Identifier: MIT */
/*
 * A file as a reply: conditional requests, ranges, HEAD, with the fields that a
 * cache wants (RFC 9110, RFC 9111). In any executor, without the baton.
 */
#ifndef CG_ENGINE_FILES_SEND_H
#define CG_ENGINE_FILES_SEND_H

#include "core/engine/files/find.h"
#include "core/exchange/exchange.h"

/* Answers ex, to its end, whatever was started. kept: lines of fields, each
 * with CRLF, that are to be in it, but for those that the file has to say
 * itself; has_type: one of them is Content-Type. cache_control may be NULL. */
void cg_files_send(struct cg_exchange *ex, struct cg_files *f,
                   const struct cg_found_file *file, const char *cache_control,
                   struct cg_slice kept, bool has_type);

#endif
