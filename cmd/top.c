/* SPDX-License-Identifier: MIT */
#include "cmd/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/show.h"
#include "core/base/memory.h"
#include "core/control/json.h"

enum { REFRESH_MS = 1000, STACKS_MS = 100, STACKS_LOOKS = 10, HEIGHT = 24 };

#define CLEAR "\033[H\033[J"
#define REVERSE "\033[7m"
#define PLAIN "\033[0m"
#define ENTER "\033[?1049h\033[?25l" /* the other screen, without a cursor */
#define LEAVE "\033[?25h\033[?1049l"

static struct termios before;
static volatile sig_atomic_t ended;

struct top {
    const struct cg_server *server;
    struct cg_top_view view;
    char note[200];
};

static void
on_end(int sig)
{
    ended = 1;
}

/* ---- the terminal ---- */

static void
put(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t sent = write(STDOUT_FILENO, text, n);
        if (sent < 0 && errno != EINTR) {
            ended = 1;
            return;
        }
        text += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
}

static bool
enter_terminal(void)
{
    struct sigaction sa = {.sa_handler = on_end};
    struct termios raw;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
        tcgetattr(STDIN_FILENO, &before) < 0) {
        return false;
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    put(ENTER, strlen(ENTER));
    return true;
}

static void
leave_terminal(void)
{
    put(LEAVE, strlen(LEAVE));
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* Keys that came together. */
static char keys[64];
static size_t nkeys;

/* The first of them; arrows are 'K' and 'J' of their own. */
static int
take_key(void)
{
    size_t n = 1;
    int key = (unsigned char)keys[0];
    if (nkeys >= 3 && keys[0] == '\033' && keys[1] == '[') {
        key = keys[2] == 'A' ? 'K' : keys[2] == 'B' ? 'J' : 0;
        n = 3;
    }
    nkeys -= n;
    memmove(keys, keys + n, nkeys);
    return key;
}

/* A key within a time; 0: none that is known. */
static int
read_key(int ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (nkeys > 0) {
        return take_key();
    }
    if (poll(&p, 1, ms) <= 0) {
        return 0;
    }
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0) {
        ended = 1;
        return 0;
    }
    nkeys = (size_t)n;
    return take_key();
}

/* ---- one look ---- */

/* False: it is gone. */
static bool
look(struct top *t, struct cg_buf *out)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(json_tree) struct cg_json_tree tree = {0};
    struct cg_error err = {0};
    if (cg_server_ask(t->server, "status", &reply, &err) < 0 ||
        cg_json_read((struct cg_slice){reply.p, reply.n}, &tree) < 0) {
        snprintf(t->note, sizeof t->note, "%.150s",
                 err.text[0] != '\0' ? err.text : "its answer is no JSON");
        return false;
    }
    struct cg_screen screen = cg_screen_of_stdout(out);
    cg_show_top(&screen, &tree, &t->view);
    return true;
}

static int
height(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4
               ? size.ws_row
               : HEIGHT;
}

/* Lines beyond the screen's end would scroll it. */
static size_t
cut(const struct cg_buf *text, int lines)
{
    size_t at = 0;
    for (; at < text->n && lines > 0; at++) {
        lines -= text->p[at] == '\n';
    }
    return at;
}

static void
draw(struct top *t)
{
    static const char help[] =
        "q quit, arrows choose, k recycle, s stacks; sort: [p]id [r]eq [c]pu "
        "[m]em [a]ge";
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(buf) struct cg_buf screen = {0};
    look(t, &text);
    cg_buf_puts(&screen, CLEAR);
    cg_buf_put(&screen, text.p, cut(&text, height() - 1));
    cg_buf_puts(&screen, REVERSE);
    cg_put_clean(&screen, t->note[0] != '\0' ? t->note : help, false);
    cg_buf_puts(&screen, PLAIN);
    put(screen.p, screen.n);
}

/* ---- keys ---- */

static void
recycle(struct top *t)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(free) char *line = cg_strf("recycle %d", t->view.pid);
    struct cg_error err = {0};
    int r =
        t->view.pid != 0 ? cg_server_ask(t->server, line, &reply, &err) : -1;
    if (r == 0) {
        snprintf(t->note, sizeof t->note, "worker %d will be replaced",
                 t->view.pid);
    } else {
        snprintf(t->note, sizeof t->note, "%.150s", err.text);
    }
}

/* A busy machine may take a moment longer. */
static bool
has_stacks(const struct cg_json_tree *t)
{
    const struct cg_json_node *w =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "workers"));
    return *cg_json_text_of(t, w, "stacks") != '\0';
}

static void
show_stacks(struct top *t)
{
    cg_auto(buf) struct cg_buf reply = {0};
    cg_auto(buf) struct cg_buf out = {0};
    cg_auto(json_tree) struct cg_json_tree tree = {0};
    cg_auto(free) char *trace = cg_strf("trace %d", t->view.pid);
    cg_auto(free) char *stacks = cg_strf("stacks %d", t->view.pid);
    struct cg_error err = {0};
    if (t->view.pid == 0 || cg_server_ask(t->server, trace, &reply, &err) < 0) {
        return;
    }
    for (int looks = 0; looks < STACKS_LOOKS; looks++) {
        poll(NULL, 0, STACKS_MS); /* the worker writes them meanwhile */
        cg_buf_reset(&reply);
        cg_json_release(&tree);
        if (cg_server_ask(t->server, stacks, &reply, &err) < 0 ||
            cg_json_read((struct cg_slice){reply.p, reply.n}, &tree) < 0) {
            return;
        }
        if (has_stacks(&tree)) {
            break;
        }
    }
    struct cg_screen screen = cg_screen_of_stdout(&out);
    cg_show_stacks(&screen, &tree);
    put(CLEAR, strlen(CLEAR));
    put(out.p, cut(&out, height() - 1));
    put(REVERSE "any key goes back" PLAIN, strlen(REVERSE PLAIN) + 17);
    while (!ended && read_key(REFRESH_MS) == 0) {
    }
}

static void
on_key(struct top *t, int key)
{
    t->note[0] = '\0';
    switch (key) {
    case 'q': ended = 1; break;
    case 'K': t->view.row -= t->view.row > 0; break;
    case 'J': t->view.row++; break;
    case 'k': recycle(t); break;
    case 's': show_stacks(t); break;
    case 'p':
    case 'r':
    case 'c':
    case 'm':
    case 'a': t->view.sort = (char)key; break;
    }
}

int
cg_top_run(const struct cg_server *server)
{
    struct top t = {.server = server, .view = {.sort = 'a'}};
    cg_auto(buf) struct cg_buf once = {0};
    if (!enter_terminal()) {
        bool good = look(&t, &once);
        put(once.p, once.n);
        return good ? 0 : 1;
    }
    while (!ended) {
        draw(&t);
        int key = read_key(REFRESH_MS);
        if (key != 0) {
            on_key(&t, key);
        } else {
            t.note[0] = '\0';
        }
    }
    leave_terminal();
    return 0;
}
