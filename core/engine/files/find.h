/* SPDX-License-Identifier: MIT */
/*
 * What a request means below a folder: a file, in which coding; the index of a
 * folder; the way to one; nothing. Opens files, sends nothing.
 */
#ifndef CG_ENGINE_FILES_FIND_H
#define CG_ENGINE_FILES_FIND_H

#include <time.h>

#include "core/engine/files/files.h"
#include "core/http/files/coding.h"
#include "core/http/request.h"

enum cg_find {
    CG_FIND_FILE,
    CG_FIND_SLASH,   /* a folder with an index: its path lacks the slash */
    CG_FIND_NOTHING, /* or nothing that may be shown */
    CG_FIND_DENIED,  /* the worker's user may not read it */
    CG_FIND_TROUBLE  /* code says what: descriptors, a disk */
};

struct cg_found_file {
    int fd; /* owned */
    uint64_t size;
    struct timespec modified;
    struct cg_media_type type;
    int coding;         /* enum cg_coding; -1: as it is */
    bool varies;        /* it may lie there in others */
    int code;           /* errno of DENIED and TROUBLE */
    struct cg_buf path; /* below the folder; owned */
};

/* rest: decoded, "" or from its slash on. Fills *ret, which is to be released
 * whatever comes back. */
enum cg_find cg_find_file(const struct cg_files *f, int dir,
                          struct cg_slice rest, const struct cg_request *req,
                          const char *base, struct cg_found_file *ret);
void cg_found_release(struct cg_found_file *f);

#endif
