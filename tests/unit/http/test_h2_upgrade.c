/* SPDX-License-Identifier: MIT */
/* The upgrade to HTTP/2: who asks for it, and what becomes the first stream. */
#include "core/http/h2/upgrade.h"

#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define LINE "GET /a?b HTTP/1.1\r\nHost: x\r\n"

/* Bytes of settings, or -1: it is no upgrade. */
static int
read_upgrade(const char *text, uint8_t *settings, struct cg_buf *head)
{
    struct cg_request r = {0};
    size_t n = 0;
    cg_request_reset(&r);
    enum cg_head_status st =
        cg_head_read(&r, &cg_head_policy_default, true, text, strlen(text));
    ck_assert_int_eq(st, CG_HEAD_DONE);
    bool good = cg_h2_upgrade_read(&r, text, settings, &n);
    if (good) {
        cg_h2_upgrade_head(&r, text, head);
    }
    cg_request_release(&r);
    return good ? (int)n : -1;
}

START_TEST(an_upgrade_has_settings_and_a_head)
{
    uint8_t settings[CG_H2_SETTINGS_MAX];
    cg_auto(buf) struct cg_buf head = {0};
    int n = read_upgrade(LINE "Connection: HTTP2-Settings ,upgrade\r\n"
                              "Upgrade: other, H2C\r\nX-A: b\r\n"
                              "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
                         settings, &head);
    ck_assert_int_eq(n, 12);
    ck_assert_mem_eq(settings, "\0\3\0\0\0\x64\0\4\0\0\xff\xff", 12);
    ck_assert_str_eq(cg_buf_str(&head), LINE "X-A: b\r\n\r\n");
}
END_TEST

START_TEST(what_is_none)
{
    static const char *const none[] = {
        "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2\r\n"
        "HTTP2-Settings: \r\n",
        "Connection: http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: \r\nHTTP2-Settings: \r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAM\r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkA\r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AASAAAAA\r\n", /* a window of 2^31 */
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAAB=\r\n",
    };
    for (size_t i = 0; i < CG_COUNT(none); i++) {
        uint8_t settings[CG_H2_SETTINGS_MAX];
        cg_auto(buf) struct cg_buf text = {0}, head = {0};
        cg_buf_putf(&text, "%s%s\r\n", LINE, none[i]);
        ck_assert_msg(read_upgrade(cg_buf_str(&text), settings, &head) < 0,
                      "%s", none[i]);
    }
}
END_TEST

START_TEST(more_settings_than_there_is_room_for)
{
    uint8_t settings[CG_H2_SETTINGS_MAX];
    for (int more = 0; more < 2; more++) {
        cg_auto(buf) struct cg_buf text = {0}, head = {0};
        cg_buf_puts(&text, LINE "Connection: upgrade, http2-settings\r\n"
                                "Upgrade: h2c\r\nHTTP2-Settings: ");
        for (int i = 0; i < CG_H2_SETTINGS_MAX / 6 + more; i++) {
            cg_buf_puts(&text, "AAMAAABk");
        }
        cg_buf_puts(&text, "\r\n\r\n");
        ck_assert_int_eq(read_upgrade(cg_buf_str(&text), settings, &head),
                         more ? -1 : CG_H2_SETTINGS_MAX);
    }
}
END_TEST

TESTS("h2_upgrade", an_upgrade_has_settings_and_a_head, what_is_none,
      more_settings_than_there_is_room_for)
