/* SPDX-License-Identifier: MIT */
/* Clocks. Everything that measures uses the monotonic one; Date the other. */
#ifndef CG_BASE_CLOCK_H
#define CG_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in microseconds; comparable between processes. */
uint64_t cg_now_us(void);

/* The wall clock, to compare with the times of files; never to wait by. */
struct timespec cg_now_of_files(void);
/* Microseconds since 1970, of the clock that jumps: for stamps, never for
 * waits. */
uint64_t cg_wall_us(void);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7): 29 bytes, no NUL. */
#define CG_HTTP_DATE_SIZE 29
void cg_http_date(time_t t, char out[CG_HTTP_DATE_SIZE]);

#endif
