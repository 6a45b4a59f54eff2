/* SPDX-License-Identifier: MIT */
/*
 * The room of static files: what a worker serves from folders without asking
 * its application. mount.c knows the folders, open.c stays inside them, find.c
 * finds what a request means, answer.c sends it, and offload.c does so for
 * applications (X-Sendfile). What a client's fields mean is decided in
 * core/http (coding.h, range.h, precondition.h, media_type.h, file_path.h).
 *
 * What always holds: no host, no Python and no GIL has a part in it, so it
 * works while all executors are blocked; the reply goes through an exchange, as
 * any other one does, so that no protocol is known here.
 */
#ifndef CG_ENGINE_FILES_H
#define CG_ENGINE_FILES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/http/files/media_type.h"

/* A folder, and where it is in the paths of requests. */
struct cg_mount {
    struct cg_slice prefix; /* "/static", "" for all paths; owned */
    char *folder;           /* as it was configured; owned */
    int fd;                 /* of it; always the same number */
    _Atomic int64_t look_s; /* when it is looked for next */
};

/* How long what fits may be kept by clients; the first that fits counts. */
struct cg_expiry {
    char *pattern; /* of fnmatch(3), for the path below the folder; owned */
    char *control; /* the value of Cache-Control; owned */
};

struct cg_files {
    struct cg_mount *mounts; /* the longest prefix first */
    int nmounts;
    struct cg_expiry *expiry;
    int nexpiry;
    char *index;    /* of folders, or NULL; owned */
    char *fallback; /* for pages that are not there, or NULL; owned */
    bool ends;      /* what is not there is a 404, else the application's */
    struct cg_mount offload; /* sendfile_root; folder NULL: none */
    struct cg_media_types types;
    uint64_t boundary; /* of parts: nobody can guess it */
    _Atomic uint32_t serial;
};

/* Opens the folder for a prefix (with or without slashes at its end). */
int cg_files_mount(struct cg_files *f, struct cg_slice prefix,
                   const char *folder, struct cg_error *err);
int cg_files_open_offload(struct cg_files *f, const char *folder,
                          struct cg_error *err);
/* seconds: UINT32_MAX is for ever, under a name that never changes. */
void cg_files_expire(struct cg_files *f, struct cg_slice pattern,
                     uint32_t seconds);
/* The system's media types and the rest; after the others. */
void cg_files_complete(struct cg_files *f);
void cg_files_release(struct cg_files *f);

/* The folder of a decoded path; *ret_rest is the path below it, from its slash
 * on. NULL: none. */
struct cg_mount *cg_files_mount_of(struct cg_files *f, struct cg_slice path,
                                   struct cg_slice *ret_rest);
/* Its descriptor; once a second it is looked whether its name means another
 * folder now (a link of a deployment that was moved). */
int cg_mount_fd(struct cg_mount *m, int64_t now_s);
/* Of a path below its folder; NULL: nothing is said. */
const char *cg_files_cache_control(const struct cg_files *f,
                                   struct cg_slice path);

#endif
