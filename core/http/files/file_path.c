/* SPDX-License-Identifier: MIT */
#include "core/http/files/file_path.h"

static int
hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
cg_path_decode(struct cg_slice path, struct cg_buf *out)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '%') {
            cg_buf_putc(out, path.p[i]);
            continue;
        }
        int high = i + 2 < path.n ? hex_of(path.p[i + 1]) : -1;
        int low = i + 2 < path.n ? hex_of(path.p[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            return false;
        }
        cg_buf_putc(out, (char)(high << 4 | low));
        i += 2;
    }
    return true;
}

bool
cg_path_is_plain(struct cg_slice path)
{
    size_t begin = 0;
    if (path.n > 0 && memchr(path.p, '\0', path.n) != NULL) {
        return false;
    }
    while (begin < path.n) {
        const char *slash = memchr(path.p + begin, '/', path.n - begin);
        size_t end = slash != NULL ? (size_t)(slash - path.p) : path.n;
        if (end == begin || path.p[begin] == '.') {
            return false;
        }
        begin = end + 1;
    }
    return true;
}

bool
cg_path_is_below(struct cg_slice path, struct cg_slice prefix,
                 struct cg_slice *ret_rest)
{
    if (path.n < prefix.n || (path.n > prefix.n && path.p[prefix.n] != '/') ||
        memcmp(path.p, prefix.p, prefix.n) != 0) {
        return false;
    }
    *ret_rest = (struct cg_slice){path.p + prefix.n, path.n - prefix.n};
    return true;
}

/* Eight hex digits or more, of both kinds: a year is none, nor is a word. */
static bool
part_is_hash(struct cg_slice part)
{
    enum { LEAST = 8 };
    bool digit = false, letter = false;
    for (size_t i = 0; i < part.n; i++) {
        if (hex_of(part.p[i]) < 0) {
            return false;
        }
        digit = digit || part.p[i] <= '9';
        letter = letter || part.p[i] > '9';
    }
    return part.n >= LEAST && digit && letter;
}

bool
cg_path_is_hashed(struct cg_slice path)
{
    const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
    size_t begin = slash != NULL ? (size_t)(slash - path.p) + 1 : 0;
    bool first = true;
    for (size_t i = begin; i < path.n; i++) {
        char c = path.p[i];
        if (c != '.' && c != '-' && c != '_') {
            continue;
        }
        /* not the ending, and not all of the name: a dot follows it */
        if (!first && c == '.' &&
            part_is_hash((struct cg_slice){path.p + begin, i - begin})) {
            return true;
        }
        first = false;
        begin = i + 1;
    }
    return false;
}
