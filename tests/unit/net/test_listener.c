/* SPDX-License-Identifier: MIT */
/* Listening sockets on loopback and in the file system. */
#include "core/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static const struct cg_listener_options usual = {
    .backlog = 16, .uid = -1, .gid = -1, .umask = 0077};
static char folder[64];

static void
make_folder(void)
{
    strcpy(folder, "/tmp/test_listener.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static struct cg_addr
addr_of(const char *fmt, ...)
{
    char text[400];
    struct cg_addr a;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct cg_error err = {0};
    ck_assert_msg(cg_addr_parse(text, &a, &err) == 0, "%s", err.text);
    return a;
}

static struct cg_listener
opened(struct cg_addr a)
{
    struct cg_listener l;
    struct cg_error err = {0};
    ck_assert_msg(cg_listener_open(&a, &usual, &l, &err) == 0, "%s", err.text);
    return l;
}

static int
connected(const struct cg_listener *l)
{
    int fd = socket(l->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&l->name, l->name_n),
                     0);
    return fd;
}

static int
option(int fd, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof value;
    ck_assert_int_eq(getsockopt(fd, level, name, &value, &n), 0);
    return value;
}

/* ---- TCP ---- */

START_TEST(a_tcp_listener_is_bound_and_described)
{
    struct cg_listener l = opened(addr_of("127.0.0.1:0"));
    const struct sockaddr_in *in = (const void *)&l.name;
    ck_assert_int_eq(l.family, AF_INET);
    ck_assert(!l.adopted);
    ck_assert_str_eq(l.host, "127.0.0.1");
    ck_assert_int_eq(atoi(l.port), ntohs(in->sin_port));
    cg_auto(free) char *text = cg_strf("http://127.0.0.1:%s", l.port);
    ck_assert_str_eq(l.text, text);
    ck_assert(fcntl(l.fd, F_GETFL) & O_NONBLOCK);
    ck_assert_int_eq(fcntl(l.fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(option(l.fd, SOL_SOCKET, SO_REUSEADDR), 1);
    ck_assert_int_eq(option(l.fd, SOL_SOCKET, SO_REUSEPORT), 0);
    ck_assert_int_eq(option(l.fd, IPPROTO_TCP, TCP_NODELAY), 1);
    cg_auto(fd_close) int peer = connected(&l);
    ck_assert_int_ge(peer, 0);
    cg_listener_close(&l, true);
    ck_assert_int_eq(l.fd, -1);
}
END_TEST

START_TEST(an_ipv6_listener_is_described)
{
    struct cg_addr a = addr_of("[::1]:0");
    struct cg_listener l;
    struct cg_error err = {0};
    if (cg_listener_open(&a, &usual, &l, &err) < 0) {
        /* IPv6 is off on this machine, and the error says so */
        ck_assert_ptr_nonnull(strstr(err.text, "cannot listen at '[::1]:0'"));
        return;
    }
    cg_auto(free) char *text = cg_strf("http://[::1]:%s", l.port);
    ck_assert_str_eq(l.text, text);
    ck_assert_str_eq(l.host, "::1");
    cg_listener_close(&l, false);
}
END_TEST

START_TEST(a_port_in_use_names_its_holder)
{
    struct cg_listener l = opened(addr_of("127.0.0.1:0")), other;
    struct cg_addr a = addr_of("127.0.0.1:%s", l.port);
    struct cg_error err = {0};
    ck_assert_int_eq(cg_listener_open(&a, &usual, &other, &err), -EADDRINUSE);
    cg_auto(free) char *want = cg_strf(
        "cannot listen at '%s': Address already in use. test_listener (pid "
        "%d) listens on port %s: stop it, or bind elsewhere.",
        a.text, getpid(), l.port);
    ck_assert_str_eq(err.text, want);
    cg_listener_close(&l, false);
}
END_TEST

START_TEST(reuse_port_shares_a_port)
{
    struct cg_listener_options sharing = usual;
    sharing.reuse_port = true;
    struct cg_addr a = addr_of("127.0.0.1:0");
    struct cg_listener one, two;
    ck_assert_int_eq(cg_listener_open(&a, &sharing, &one, NULL), 0);
    a = addr_of("127.0.0.1:%s", one.port);
    ck_assert_int_eq(cg_listener_open(&a, &sharing, &two, NULL), 0);
    cg_listener_close(&one, false);
    cg_listener_close(&two, false);
}
END_TEST

static void
expect_failure(struct cg_addr a, int code, const char *want)
{
    struct cg_listener l = {.fd = 77};
    struct cg_error err = {0};
    ck_assert_int_eq(cg_listener_open(&a, &usual, &l, &err), code);
    ck_assert_msg(strstr(err.text, want) != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(err.text, a.text));
    ck_assert_int_eq(l.fd, 77); /* untouched */
}

START_TEST(an_address_of_another_machine_is_told)
{
    /* TEST-NET-1: nobody's */
    expect_failure(addr_of("192.0.2.1:0"), -EADDRNOTAVAIL,
                   "No interface of this machine has the address; 0.0.0.0 or "
                   "[::] stand for all of them.");
}
END_TEST

START_TEST(a_name_that_is_not_known_is_told)
{
    expect_failure(addr_of("no-such-name.invalid:0"), -EADDRNOTAVAIL,
                   "the host name 'no-such-name.invalid' has no IPv4 address");
}
END_TEST

/* ---- unix ---- */

START_TEST(a_socket_file_is_made_with_its_rights_and_removed)
{
    struct cg_listener l = opened(addr_of("unix:%s/a.sock", folder));
    struct stat st;
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    cg_auto(free) char *text = cg_strf("unix:%s", path);
    ck_assert_int_eq(l.family, AF_UNIX);
    ck_assert_str_eq(l.text, text);
    ck_assert_str_eq(l.host, path);
    ck_assert_str_eq(l.port, "");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    cg_auto(fd_close) int peer = connected(&l);
    ck_assert_int_ge(peer, 0);
    cg_listener_close(&l, true);
    ck_assert_int_eq(stat(path, &st), -1);
    rmdir(folder);
}
END_TEST

START_TEST(the_process_keeps_its_umask)
{
    mode_t before = umask(0022);
    struct cg_listener l = opened(addr_of("unix:%s/a.sock", folder));
    ck_assert_int_eq(umask(before), 0022);
    cg_listener_close(&l, true);
    rmdir(folder);
}
END_TEST

START_TEST(a_stale_socket_file_is_replaced)
{
    struct cg_listener one = opened(addr_of("unix:%s/a.sock", folder));
    struct cg_listener two = opened(addr_of("unix:%s/a.sock", folder));
    /* the first one's file is gone: it must not take away the second's */
    cg_listener_close(&one, true);
    cg_auto(fd_close) int peer = connected(&two);
    ck_assert_int_ge(peer, 0);
    cg_listener_close(&two, false);
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    ck_assert_int_eq(unlink(path), 0); /* it was left there */
    rmdir(folder);
}
END_TEST

START_TEST(what_is_no_socket_stays)
{
    cg_auto(free) char *path = cg_strf("%s/file", folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    cg_auto(free) char *want = cg_strf("'%s' is not a socket. It is in the way "
                                       "of the bind",
                                       path);
    expect_failure(addr_of("unix:%s", path), -EEXIST, want);
    ck_assert_int_eq(unlink(path), 0);
    rmdir(folder);
}
END_TEST

START_TEST(a_folder_that_is_missing_is_named)
{
    cg_auto(free) char *want =
        cg_strf("The folder '%s/none' does not exist: make it first.", folder);
    expect_failure(addr_of("unix:%s/none/a.sock", folder), -ENOENT, want);
    rmdir(folder);
}
END_TEST

START_TEST(a_folder_that_is_a_file_is_told)
{
    expect_failure(addr_of("unix:/dev/null/a.sock"), -ENOTDIR,
                   "Not a directory");
    rmdir(folder);
}
END_TEST

START_TEST(a_socket_file_goes_to_its_owner)
{
    struct cg_listener_options owned = usual;
    struct cg_addr a = addr_of("unix:%s/a.sock", folder);
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    struct cg_listener l;
    struct cg_error err = {0};
    struct stat st;
    owned.uid = (int)geteuid() + (geteuid() == 0 ? 4242 : 1);
    int r = cg_listener_open(&a, &owned, &l, &err);
    if (geteuid() == 0) {
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_uid, (unsigned)owned.uid);
        cg_listener_close(&l, true);
    } else {
        ck_assert_int_eq(r, -EPERM);
        ck_assert_ptr_nonnull(
            strstr(err.text, "Only root may set user and group."));
        ck_assert_int_eq(stat(path, &st), -1);
    }
    rmdir(folder);
}
END_TEST

/* Puts a link to `secret` where the socket appears, again and again. */
static _Noreturn void
swap_sockets(const char *path, const char *aside, const char *secret)
{
    struct stat st;
    if (setgid(65534) < 0 || setuid(65534) < 0) {
        _exit(1);
    }
    for (;;) {
        if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
            rename(path, aside) == 0 && symlink(secret, path) == 0) {
            /* until it is removed by whoever binds there next */
        }
        if (getppid() == 1) {
            _exit(0);
        }
    }
}

START_TEST(a_link_that_is_swapped_in_does_not_give_away_what_it_names)
{
    enum { TRIES = 300 };
    struct cg_listener_options owned = usual;
    struct cg_addr a = addr_of("unix:%s/theirs/a.sock", folder);
    cg_auto(free) char *theirs = cg_strf("%s/theirs", folder);
    cg_auto(free) char *path = cg_strf("%s/a.sock", theirs);
    cg_auto(free) char *aside = cg_strf("%s/b.sock", theirs);
    cg_auto(free) char *secret = cg_strf("%s/secret", folder);
    struct stat st;
    owned.uid = 65534;
    if (geteuid() != 0) {
        rmdir(folder);
        return; /* nothing could be given away */
    }
    ck_assert_int_eq(chmod(folder, 0755), 0);
    ck_assert_int_eq(mkdir(theirs, 0755), 0);
    ck_assert_int_eq(chown(theirs, 65534, 65534), 0);
    close(open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    pid_t attacker = fork();
    if (attacker == 0) {
        swap_sockets(path, aside, secret);
    }
    for (int i = 0; i < TRIES; i++) {
        struct cg_listener l;
        if (cg_listener_open(&a, &owned, &l, NULL) == 0) {
            cg_listener_close(&l, true);
        }
        unlink(path); /* the link, so that the next try comes so far */
        ck_assert_int_eq(stat(secret, &st), 0);
        ck_assert_uint_eq(st.st_uid, 0);
    }
    kill(attacker, SIGKILL);
    waitpid(attacker, NULL, 0);
    cg_auto(free) char *command = cg_strf("rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(a_link_at_the_path_of_a_socket_stays)
{
    struct cg_addr a = addr_of("unix:%s/a.sock", folder);
    struct cg_addr real = addr_of("unix:%s/real.sock", folder);
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    struct cg_listener l, other = opened(real);
    struct cg_error err = {0};
    ck_assert_int_eq(symlink("real.sock", path), 0);
    ck_assert_int_eq(cg_listener_open(&a, &usual, &l, &err), -EEXIST);
    ck_assert_ptr_nonnull(strstr(err.text, "is not a socket"));
    ck_assert_int_eq(unlink(path), 0);
    cg_listener_close(&other, true);
    rmdir(folder);
}
END_TEST

START_TEST(a_socket_that_another_user_listens_at_stays)
{
    struct cg_addr a = addr_of("unix:%s/a.sock", folder);
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    struct cg_listener l, other = opened(a);
    struct cg_error err = {0};
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 12345, 12345), 0);
        ck_assert_int_eq(cg_listener_open(&a, &usual, &l, &err), -EADDRINUSE);
        ck_assert_ptr_nonnull(strstr(err.text, "a program of uid 12345"));
        /* and goes when it has ended */
        cg_listener_close(&other, false);
        ck_assert_int_eq(cg_listener_open(&a, &usual, &l, &err), 0);
        cg_listener_close(&l, true);
    } else {
        cg_listener_close(&other, true);
    }
    rmdir(folder);
}
END_TEST

START_TEST(an_abstract_socket_has_no_file)
{
    struct cg_listener l = opened(addr_of("unix:@test_listener.%d", getpid()));
    cg_auto(free) char *text = cg_strf("unix:@test_listener.%d", getpid());
    ck_assert_str_eq(l.text, text);
    ck_assert_uint_eq(l.file_ino, 0);
    cg_auto(fd_close) int peer = connected(&l);
    ck_assert_int_ge(peer, 0);
    struct cg_addr a = l.addr;
    expect_failure(a, -EADDRINUSE,
                   "Stop the program that listens there, or bind elsewhere.");
    cg_listener_close(&l, true);
    rmdir(folder);
}
END_TEST

/* ---- adopted ---- */

static int
bound_socket(bool listening)
{
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listening ? listen(fd, 1) : 0, 0);
    return fd;
}

START_TEST(a_socket_is_adopted_and_made_to_listen)
{
    for (int listening = 0; listening < 2; listening++) {
        int fd = bound_socket(listening);
        struct cg_listener l = opened(addr_of("fd://%d", fd));
        ck_assert_int_eq(l.fd, fd);
        ck_assert(l.adopted);
        ck_assert_str_eq(l.host, "127.0.0.1");
        ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
        ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        cg_auto(fd_close) int peer = connected(&l);
        ck_assert_int_ge(peer, 0);
        cg_listener_close(&l, true);
    }
}
END_TEST

START_TEST(the_file_of_an_adopted_socket_stays)
{
    struct cg_listener l = opened(addr_of("unix:%s/a.sock", folder));
    struct cg_listener adopted;
    int copy = dup(l.fd);
    ck_assert_int_eq(cg_listener_adopt(copy, &usual, &adopted, NULL), 0);
    cg_listener_close(&adopted, true);
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    ck_assert_int_eq(access(path, F_OK), 0);
    cg_listener_close(&l, true);
    rmdir(folder);
}
END_TEST

static void
expect_not_adopted(int fd, int code, const char *want)
{
    struct cg_listener l;
    struct cg_error err = {0};
    ck_assert_int_eq(cg_listener_adopt(fd, &usual, &l, &err), code);
    cg_auto(free) char *text = cg_strf("cannot listen at 'fd://%d': ", fd);
    ck_assert_mem_eq(err.text, text, strlen(text));
    ck_assert_msg(strstr(err.text, want) != NULL, "%s", err.text);
}

START_TEST(what_cannot_listen_is_not_adopted)
{
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC), ends[2];
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    expect_not_adopted(999, -EBADF, "descriptor 999 is not open");
    expect_not_adopted(file, -ENOTSOCK, "is not a socket");
    expect_not_adopted(udp, -EPROTOTYPE, "neither TCP nor a unix stream");
    expect_not_adopted(ends[0], -EINVAL, "Invalid argument");
    int kept[] = {file, udp, ends[0], ends[1]}; /* still the caller's */
    for (size_t i = 0; i < CG_COUNT(kept); i++) {
        ck_assert_int_eq(close(kept[i]), 0);
    }
}
END_TEST

/* ---- quiesce ---- */

START_TEST(a_quiet_listener_serves_what_waits_and_takes_no_more)
{
    struct cg_listener l = opened(addr_of("127.0.0.1:0"));
    cg_auto(fd_close) int waiting = connected(&l);
    cg_listener_quiesce(&l);
    struct pollfd ready = {.fd = l.fd, .events = POLLIN};
    ck_assert_int_eq(poll(&ready, 1, 10000), 1);
    cg_auto(fd_close) int served = accept(l.fd, NULL, NULL);
    ck_assert_int_ge(served, 0);
    ck_assert_int_eq(send(served, "x", 1, MSG_NOSIGNAL), 1);
    char c;
    ck_assert_int_eq(recv(waiting, &c, 1, 0), 1);
    /* its attempt is dropped by the kernel: it is under way for ever */
    cg_auto(fd_close) int late =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(late, (const struct sockaddr *)&l.name, l.name_n),
                     -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    struct tcp_info info;
    socklen_t n = sizeof info;
    ck_assert_int_eq(getsockopt(late, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    ck_assert_int_eq(info.tcpi_state, TCP_SYN_SENT);
    ck_assert_int_eq(accept(l.fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EAGAIN);
    cg_listener_close(&l, false);
}
END_TEST

START_TEST(a_unix_listener_is_not_touched)
{
    struct cg_listener l = opened(addr_of("unix:%s/a.sock", folder));
    cg_listener_quiesce(&l);
    cg_auto(fd_close) int peer = connected(&l);
    ck_assert_int_ge(peer, 0);
    cg_listener_close(&l, true);
    rmdir(folder);
}
END_TEST

START_TEST(an_adopted_listener_is_never_made_quiet)
{
    struct cg_listener l = opened(addr_of("127.0.0.1:0")), same;
    struct cg_error err = {0};
    ck_assert_int_eq(cg_listener_adopt(l.fd, &usual, &same, &err), 0);
    cg_listener_quiesce(&same);
    cg_auto(fd_close) int peer = connected(&same); /* would hang */
    cg_listener_close(&same, true);
}
END_TEST

/* ---- questions ---- */

static bool
is_at(const struct cg_listener *l, struct cg_addr a)
{
    return cg_listener_is_at(l, &a);
}

START_TEST(a_tcp_listener_knows_its_address)
{
    struct cg_listener l = opened(addr_of("127.0.0.1:0"));
    int port = atoi(l.port);
    ck_assert(is_at(&l, addr_of("127.0.0.1:%d", port)));
    ck_assert(is_at(&l, addr_of("localhost:%d", port)));
    ck_assert(is_at(&l, addr_of("fd://%d", l.fd)));
    ck_assert(!is_at(&l, addr_of("127.0.0.1:%d", port ^ 1)));
    ck_assert(!is_at(&l, addr_of("127.0.0.2:%d", port)));
    ck_assert(!is_at(&l, addr_of("[::1]:%d", port)));
    ck_assert(!is_at(&l, addr_of("unix:/tmp/x")));
    ck_assert(!is_at(&l, addr_of("no-such-host.invalid:%d", port)));
    cg_listener_close(&l, false);
}
END_TEST

START_TEST(a_unix_listener_knows_its_address)
{
    struct cg_listener l = opened(addr_of("unix:%s/a.sock", folder));
    struct cg_listener x = opened(addr_of("unix:@%s", folder));
    ck_assert(is_at(&l, addr_of("unix:%s/a.sock", folder)));
    ck_assert(!is_at(&l, addr_of("unix:%s/a.soc", folder)));
    ck_assert(!is_at(&l, addr_of("unix:%s/a.socks", folder)));
    ck_assert(!is_at(&l, addr_of("unix:@%s", folder)));
    ck_assert(is_at(&x, addr_of("unix:@%s", folder)));
    ck_assert(!is_at(&x, addr_of("unix:%s", folder)));
    cg_listener_close(&l, true);
    cg_listener_close(&x, true);
    rmdir(folder);
}
END_TEST

START_TEST(a_listener_without_its_file_is_lost)
{
    struct cg_listener l = opened(addr_of("unix:%s/a.sock", folder));
    struct cg_listener x = opened(addr_of("unix:@%s", folder));
    struct cg_listener t = opened(addr_of("127.0.0.1:0"));
    ck_assert(!cg_listener_is_lost(&l));
    cg_auto(free) char *path = cg_strf("%s/a.sock", folder);
    unlink(path);
    ck_assert(cg_listener_is_lost(&l));
    /* another one's socket there is not ours to replace */
    struct cg_listener other = opened(addr_of("unix:%s/a.sock", folder));
    ck_assert(!cg_listener_is_lost(&l));
    ck_assert(!cg_listener_is_lost(&x));
    ck_assert(!cg_listener_is_lost(&t));
    cg_listener_close(&l, true);
    cg_listener_close(&other, true);
    cg_listener_close(&x, true);
    cg_listener_close(&t, true);
    rmdir(folder);
}
END_TEST

int
main(void)
{
    const TTest *const plain[] = {
        a_tcp_listener_is_bound_and_described,
        an_ipv6_listener_is_described,
        a_port_in_use_names_its_holder,
        reuse_port_shares_a_port,
        an_address_of_another_machine_is_told,
        a_name_that_is_not_known_is_told,
        a_socket_is_adopted_and_made_to_listen,
        what_cannot_listen_is_not_adopted,
        a_quiet_listener_serves_what_waits_and_takes_no_more,
        an_adopted_listener_is_never_made_quiet,
        a_tcp_listener_knows_its_address,
    };
    const TTest *const files[] = {
        a_socket_file_is_made_with_its_rights_and_removed,
        the_process_keeps_its_umask,
        a_stale_socket_file_is_replaced,
        what_is_no_socket_stays,
        a_folder_that_is_missing_is_named,
        a_folder_that_is_a_file_is_told,
        a_socket_file_goes_to_its_owner,
        a_link_that_is_swapped_in_does_not_give_away_what_it_names,
        a_link_at_the_path_of_a_socket_stays,
        a_socket_that_another_user_listens_at_stays,
        an_abstract_socket_has_no_file,
        the_file_of_an_adopted_socket_stays,
        a_unix_listener_is_not_touched,
        a_unix_listener_knows_its_address,
        a_listener_without_its_file_is_lost,
    };
    int failed = run_tests("listener", plain, CG_COUNT(plain));
    return run_tests_in("listener files", make_folder, files, CG_COUNT(files)) +
           failed;
}
