/* SPDX-License-Identifier: MIT */
/*
 * What fuzzers share. An input is bytes to choose with, then the bytes under
 * test. EXPECT ends the process, so that the input is kept.
 */
#ifndef CG_TESTS_FUZZ_H
#define CG_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz_input {
    const char *p;
    size_t n;
};

static inline struct fuzz_input
fuzz_input(const uint8_t *data, size_t n)
{
    return (struct fuzz_input){(const char *)data, n};
}

/* The next byte to choose with, 0 when there is none. */
static inline unsigned
fuzz_byte(struct fuzz_input *in)
{
    if (in->n == 0) {
        return 0;
    }
    in->n--;
    return (unsigned char)*in->p++;
}

#define EXPECT(x, ...)                                                         \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #x);            \
            fprintf(stderr, __VA_ARGS__);                                      \
            fputc('\n', stderr);                                               \
            abort();                                                           \
        }                                                                      \
    } while (0)

#endif
