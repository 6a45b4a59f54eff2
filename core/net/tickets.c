/* SPDX-License-Identifier: MIT */
#include "core/net/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

enum { SIZE = sizeof(struct cg_ticket_board) };

/* Kept out of core dumps: who has the keys can read what was recorded. */
static struct cg_ticket_board *
map(int fd, int protection)
{
    void *p = mmap(NULL, SIZE, protection, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    madvise(p, SIZE, MADV_DONTDUMP);
    return p;
}

static void
unmap(const struct cg_ticket_board *b)
{
    if (b != NULL) {
        munmap((void *)(uintptr_t)b, SIZE);
    }
}

/* Once to write, once to read: workers keep the second one, by a description
 * that cannot write, so that no mprotect() of theirs makes the keys of all
 * their siblings. */
static int
map_both(struct cg_tickets *t)
{
    cg_auto(fd_close) int read_fd = cg_fd_read_only(t->fd);
    t->board = map(t->fd, PROT_READ | PROT_WRITE);
    t->view = map(read_fd >= 0 ? read_fd : t->fd, PROT_READ);
    if (t->board != NULL && t->view != NULL) {
        return 0;
    }
    int code = errno;
    unmap(t->board);
    unmap(t->view);
    return -code;
}

static void
make_key(struct cg_ticket_key *k)
{
    uint8_t *p = (uint8_t *)k;
    size_t n = 0;
    while (n < sizeof *k) {
        ssize_t got = getrandom(p + n, sizeof *k - n, 0);
        n += got > 0 ? (size_t)got : 0;
    }
}

static void
add_key(struct cg_ticket_board *b, int64_t now_s)
{
    uint32_t seq = atomic_load(&b->seq);
    atomic_store(&b->seq, seq + 1);
    atomic_thread_fence(memory_order_seq_cst);
    memmove(&b->key[1], &b->key[0], sizeof b->key - sizeof b->key[0]);
    make_key(&b->key[0]);
    atomic_store(&b->made_s, now_s);
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store(&b->seq, seq + 2);
}

/* A copy of all keys that were not moved meanwhile. False: whoever moves them
 * does not come to an end (it was killed, most likely). */
static bool
look(const struct cg_ticket_board *b, struct cg_ticket_key *keys)
{
    enum { TRIES = 10000, AT_ONCE = 100 };
    for (int i = 0; i < TRIES; i++) {
        uint32_t seq = atomic_load(&b->seq);
        atomic_thread_fence(memory_order_seq_cst);
        memcpy(keys, b->key, sizeof b->key);
        atomic_thread_fence(memory_order_seq_cst);
        if ((seq & 1) == 0 && seq == atomic_load(&b->seq)) {
            return true;
        }
        if (i > AT_ONCE) {
            sched_yield();
        }
    }
    return false;
}

static bool
is_whole(const struct cg_ticket_board *b)
{
    struct cg_ticket_key keys[CG_TICKET_KEYS];
    bool whole = look(b, keys);
    explicit_bzero(keys, sizeof keys);
    return whole;
}

/* A file in memory of the right size: no other is an old master's. */
static bool
is_board(int fd)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == SIZE && seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

static int
make_board(struct cg_error *err)
{
    int fd = memfd_create("tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, SIZE) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        int code = errno;
        cg_fd_close(&fd);
        return cg_error_set(err, code, "cannot make keys for TLS tickets: %s",
                            strerror(code));
    }
    return fd;
}

/* False: it is none. The descriptor is still the caller's then. */
static bool
go_on(int fd, struct cg_tickets *t)
{
    t->fd = fd;
    if (!is_board(fd) || map_both(t) < 0) {
        return false;
    }
    if (!is_whole(t->view)) {
        unmap(t->board);
        unmap(t->view);
        return false;
    }
    cg_fd_set_cloexec(fd, 1);
    return true;
}

int
cg_tickets_open(int fd, struct cg_tickets *ret, struct cg_error *err)
{
    struct cg_tickets t = CG_TICKETS_NONE;
    if (go_on(fd, &t)) {
        *ret = t;
        return 0;
    }
    t.fd = make_board(err);
    int r = t.fd < 0 ? t.fd : map_both(&t);
    if (t.fd >= 0 && r < 0) {
        cg_fd_close(&t.fd);
        return cg_error_set(err, -r, "cannot map keys for TLS tickets: %s",
                            strerror(-r));
    }
    /* all of them: no key may be one that anybody can know */
    for (int i = 0; r == 0 && i < CG_TICKET_KEYS; i++) {
        add_key(t.board, (int64_t)time(NULL));
    }
    *ret = r == 0 ? t : *ret;
    return r;
}

void
cg_tickets_close(struct cg_tickets *t)
{
    unmap(t->board);
    unmap(t->view);
    t->board = NULL;
    t->view = NULL;
    cg_fd_close(&t->fd);
}

void
cg_tickets_enter(struct cg_tickets *t)
{
    unmap(t->board);
    t->board = NULL;
    cg_fd_close(&t->fd);
}

void
cg_tickets_turn(struct cg_tickets *t, int64_t now_s)
{
    if (t->board == NULL) {
        return;
    }
    int64_t age = now_s - atomic_load(&t->board->made_s);
    if (age >= CG_TICKET_TURN_S || age < 0) {
        add_key(t->board, now_s);
    }
}

/* What was read half moved opens and seals nothing that another one knows: a
 * client with such a ticket makes a full handshake. */
void
cg_tickets_newest(const struct cg_ticket_board *b, struct cg_ticket_key *ret)
{
    struct cg_ticket_key keys[CG_TICKET_KEYS];
    look(b, keys);
    *ret = keys[0];
    explicit_bzero(keys, sizeof keys);
}

bool
cg_tickets_find(const struct cg_ticket_board *b, const uint8_t *name,
                struct cg_ticket_key *ret, bool *ret_newest)
{
    struct cg_ticket_key keys[CG_TICKET_KEYS];
    bool found = false;
    look(b, keys);
    for (int i = 0; !found && i < CG_TICKET_KEYS; i++) {
        found = memcmp(keys[i].name, name, CG_TICKET_NAME) == 0;
        if (found) {
            *ret = keys[i];
            *ret_newest = i == 0;
        }
    }
    explicit_bzero(keys, sizeof keys);
    return found;
}
