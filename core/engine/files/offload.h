/* SPDX-License-Identifier: MIT */
/*
 * Offload: a reply whose body is a file that the application only names, by
 * X-Sendfile or X-Accel-Redirect, below sendfile_root. In its executor, without
 * the baton.
 */
#ifndef CG_ENGINE_FILES_OFFLOAD_H
#define CG_ENGINE_FILES_OFFLOAD_H

#include "core/exchange/exchange.h"

/* The operation of an exchange. */
bool cg_offload(struct cg_exchange *ex);

#endif
