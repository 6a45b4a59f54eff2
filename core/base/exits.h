/* SPDX-License-Identifier: MIT */
/* Exit statuses by which a worker tells the master why it does not serve:
 * gunicorn's. */
#ifndef CG_BASE_EXITS_H
#define CG_BASE_EXITS_H

enum {
    CG_EXIT_BOOT = 3,     /* it failed to boot */
    CG_EXIT_APP = 4,      /* the application cannot be found */
    CG_EXIT_CRASHED = 255 /* its class cannot serve, or serve on */
};

#endif
