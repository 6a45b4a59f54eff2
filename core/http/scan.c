/* SPDX-License-Identifier: MIT */
#include "core/http/scan.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define T TOKEN
#define L (TOKEN | LOWER)
/* clang-format off */
const uint8_t cg_token_class[256] = {
    ['!'] = T, ['#'] = T | HASH, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T,
    ['*'] = T, ['+'] = T, ['-'] = T, ['.'] = T, ['^'] = T,
    ['_'] = T | UNDERSCORE, ['`'] = T, ['|'] = T, ['~'] = T,
    ['0'] = T, ['1'] = T, ['2'] = T, ['3'] = T, ['4'] = T,
    ['5'] = T, ['6'] = T, ['7'] = T, ['8'] = T, ['9'] = T,
    ['A'] = T, ['B'] = T, ['C'] = T, ['D'] = T, ['E'] = T, ['F'] = T,
    ['G'] = T, ['H'] = T, ['I'] = T, ['J'] = T, ['K'] = T, ['L'] = T,
    ['M'] = T, ['N'] = T, ['O'] = T, ['P'] = T, ['Q'] = T, ['R'] = T,
    ['S'] = T, ['T'] = T, ['U'] = T, ['V'] = T, ['W'] = T, ['X'] = T,
    ['Y'] = T, ['Z'] = T,
    ['a'] = L, ['b'] = L, ['c'] = L, ['d'] = L, ['e'] = L, ['f'] = L,
    ['g'] = L, ['h'] = L, ['i'] = L, ['j'] = L, ['k'] = L, ['l'] = L,
    ['m'] = L, ['n'] = L, ['o'] = L, ['p'] = L, ['q'] = L, ['r'] = L,
    ['s'] = L, ['t'] = L, ['u'] = L, ['v'] = L, ['w'] = L, ['x'] = L,
    ['y'] = L, ['z'] = L,
};
/* clang-format on */
#undef T
#undef L

static inline bool
is_bad(char c)
{
    unsigned char u = (unsigned char)c;
    return (u < 0x20 && u != '\t') || u == 0x7f;
}

/* Whether one of eight bytes may be a control: below 0x20, or DEL. */
static bool
is_odd(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, highs = ones << 7;
    uint64_t v, del;
    memcpy(&v, p, sizeof v);
    del = v ^ ones * 0x7f;
    return (((v - ones * 0x20) & ~v & highs) | ((del - ones) & ~del & highs)) !=
           0;
}

size_t
cg_scan_value(const char *p, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'),
                  del = _mm_set1_epi8(0x7f);
    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const void *)(p + i));
        /* unsigned v <= 0x1f */
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, space), v);
        __m128i bad =
            _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low),
                         _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask != 0) {
            return i + (size_t)__builtin_ctz((unsigned)mask);
        }
    }
#endif
    /* eight at once; what looks odd (a tab too) is looked at byte by byte */
    for (; i + 8 <= n; i += 8) {
        if (is_odd(p + i)) {
            break;
        }
    }
    if (i < n && i + 8 > n && n >= 8 && !is_odd(p + n - 8)) {
        return n;
    }
    while (i < n && !is_bad(p[i])) {
        i++;
    }
    return i;
}

/* ---- eight bytes at once ---- */

enum { WORD = sizeof(uint64_t) };

#define EACH(byte) (UINT64_MAX / 255 * (byte))

static inline uint64_t
word_at(const char *p)
{
    uint64_t w;
    memcpy(&w, p, WORD);
    return w;
}

/* 0x80 in each byte that is a lower-case letter; w is ASCII. */
static inline uint64_t
letters(uint64_t w)
{
    return (w + EACH(0x80 - 'a')) & ~(w + EACH(0x7f - 'z')) & EACH(0x80);
}

/* They may differ by the bit of case alone, and only where a letter is wanted;
 * `lower` is ASCII. */
static inline bool
word_is(const char *name, const char *lower)
{
    uint64_t wanted = word_at(lower);
    return ((word_at(name) ^ wanted) & ~(letters(wanted) >> 2)) == 0;
}

/* Most names are nothing else. */
static inline bool
is_letters_and_hyphens(uint64_t w)
{
    uint64_t other = w ^ EACH('-');
    uint64_t hyphens = ~(other + EACH(0x7f)) & EACH(0x80);
    return (w & EACH(0x80)) == 0 &&
           (letters(w | EACH(0x20)) | hyphens) == EACH(0x80);
}

bool
cg_is_token(struct cg_slice s)
{
    size_t i = 0;
    while (i + WORD < s.n && is_letters_and_hyphens(word_at(s.p + i))) {
        i += WORD;
    }
    if (i + WORD >= s.n && s.n >= WORD &&
        is_letters_and_hyphens(word_at(s.p + s.n - WORD))) {
        return true;
    }
    while (i < s.n && cg_is_token_char(s.p[i])) {
        i++;
    }
    return i == s.n && s.n > 0;
}

bool
cg_name_is(const char *name, const char *lower, size_t n)
{
    if (n < WORD) {
        for (size_t i = 0; i < n; i++) {
            char c = name[i];
            if (c >= 'A' && c <= 'Z') {
                c = (char)(c | 32);
            }
            if (c != lower[i]) {
                return false;
            }
        }
        return true;
    }
    for (size_t i = 0; i < n - WORD; i += WORD) {
        if (!word_is(name + i, lower + i)) {
            return false;
        }
    }
    return word_is(name + n - WORD, lower + n - WORD);
}

bool
cg_length_read(struct cg_slice s, uint64_t *ret_length)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (!cg_is_digit(s.p[i]) || n > (INT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *ret_length = n;
    return s.n > 0;
}

/* ---- names with an identity: a small table, filled once ---- */

static const struct {
    const char *lower;
    uint8_t n;
} names[] = {
    {"", 0},
#define CG_FIELD(ID, text, key) {text, sizeof(text) - 1},
#include "core/http/fields.def"
#undef CG_FIELD
};

enum { SLOTS = 256 };
static uint8_t slots[SLOTS]; /* id, 0 = free; linear probing */

static unsigned
hash(const char *name, size_t n)
{
    unsigned first = (unsigned char)name[0] | 32u;
    unsigned last = (unsigned char)name[n - 1] | 32u;
    unsigned middle = (unsigned char)name[n / 2] | 32u;
    return ((unsigned)n * 37 + first * 5 + middle * 17 + last) % SLOTS;
}

__attribute__((constructor)) static void
fill_slots(void)
{
    for (unsigned id = 1; id < CG_FIELD_COUNT; id++) {
        unsigned h = hash(names[id].lower, names[id].n);
        while (slots[h] != 0) {
            h = (h + 1) % SLOTS;
        }
        slots[h] = (uint8_t)id;
    }
}

enum cg_field_id
cg_field_identify(const char *name, size_t n)
{
    for (unsigned h = hash(name, n); slots[h] != 0; h = (h + 1) % SLOTS) {
        unsigned id = slots[h];
        if (names[id].n == n && cg_name_is(name, names[id].lower, n)) {
            return (enum cg_field_id)id;
        }
    }
    return CG_FIELD_OTHER;
}
