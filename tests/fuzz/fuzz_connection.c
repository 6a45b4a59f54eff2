/* SPDX-License-Identifier: MIT */
/* Whole connections, see connection.h. */
#include "tests/unit/engine/connection.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    uint32_t seed = fuzz_byte(&in);
    if (in.n > 0) {
        connection_check(in, seed);
    }
    return 0;
}
