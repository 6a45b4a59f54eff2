/* SPDX-License-Identifier: MIT */
/*
 * Answering from a folder: conditional requests, ranges, codings, HEAD, with
 * the fields that a cache wants (RFC 9110, RFC 9111).
 */
#ifndef CG_ENGINE_FILES_ANSWER_H
#define CG_ENGINE_FILES_ANSWER_H

#include "core/engine/files/find.h"
#include "core/engine/protocol.h"

/* Whether that request was one for a folder and is answered; its stream may be
 * gone then. Else the application has it. With the baton, which is open while
 * the system is asked and the reply is made. */
bool cg_files_answer(struct cg_executor *x, struct cg_stream *s,
                     const struct cg_arrival *a);

/* The file as the reply of ex, of which nothing was started but fields that the
 * caller wants in it (`started`); else 200 is. Never fails. Any executor. */
void cg_files_send(struct cg_exchange *ex, struct cg_files *f,
                   struct cg_found_file *file, const char *cache_control);

#endif
