/* SPDX-License-Identifier: MIT */
/*
 * Answering from a folder: what a request means is found, and sent (send.h).
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

#endif
