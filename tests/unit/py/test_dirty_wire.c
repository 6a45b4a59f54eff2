/* SPDX-License-Identifier: MIT */
/*
 * The wire of dirty workers: values there and back, what cannot go or come, and
 * bytes that somebody has broken. Each test is a few lines of Python, run by
 * the embedded interpreter, since values are Python's.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <check.h>
#include <stdlib.h>

#include "core/py/runtime/interp.h"

static const char prelude[] =
    "import random\n"
    "from _cgunicorn import *\n"
    "from _cgunicorn import WireError\n"
    "def refused(text, call, *args):\n"
    "    try:\n"
    "        found = call(*args)\n"
    "    except WireError as e:\n"
    "        assert text in str(e), (text, str(e))\n"
    "    else:\n"
    "        raise AssertionError('%r was taken' % (found,))\n"
    "def same(value, comes=None):\n"
    "    comes = value if comes is None else comes\n"
    "    back = wire_decode(wire_encode(value))\n"
    "    assert repr(back) == repr(comes), (back, comes)\n";

static void
expect(const char *test)
{
    ck_assert_msg(PyRun_SimpleString(prelude) == 0 &&
                      PyRun_SimpleString(test) == 0,
                  "the traceback is above; of\n%s", test);
}

START_TEST(values_come_back_as_they_went)
{
    expect("for v in (None, True, False, 0, -1, 2**63 - 1, -2**63, 0.0, -0.0,\n"
           "          1.5, float('inf'), '', 'a\\0b', '\\u20ac\\U0001f600',\n"
           "          b'', b'\\x00\\xff', [], [[1], {'a': [None]}], {},\n"
           "          {'k': {'k': 'v'}}):\n"
           "    same(v)\n"
           "same((1, (2,)), [1, [2]])\n"
           "same({1: 2, None: 3}, {'1': 2, 'None': 3})\n"
           "same(bytearray(b'ab'), b'ab')\n"
           "same(memoryview(b'abcd')[::2], b'ac')\n");
}
END_TEST

START_TEST(subclasses_go_as_what_they_are_kin_of)
{
    expect("import collections, enum\n"
           "class N(enum.IntEnum):\n"
           "    a = 7\n"
           "class S(str):\n"
           "    pass\n"
           "class B(bytes):\n"
           "    pass\n"
           "class F(float):\n"
           "    pass\n"
           "same([N.a, S('s'), B(b'b'), F(2.5)], [7, 's', b'b', 2.5])\n"
           "same(collections.OrderedDict(a=1), {'a': 1})\n"
           "same(collections.namedtuple('P', 'x y')(1, 2), [1, 2])\n");
}
END_TEST

START_TEST(a_call_is_the_frame_of_the_reference)
{
    expect(
        "frame = wire_request(1, 'm:A', 'f', (1,), {'k': None})\n"
        "assert frame == bytes.fromhex('47440101 00000059 0000000000000001'\n"
        "    '21 00000004 11 00000008') + b'app_path' + bytes.fromhex(\n"
        "    '11 00000003') + b'm:A' + bytes.fromhex('11 00000006') + \\\n"
        "    b'action' + bytes.fromhex('11 00000001') + b'f' + \\\n"
        "    bytes.fromhex('11 00000004') + b'args' + bytes.fromhex(\n"
        "    '20 00000001 05 0000000000000001 11 00000006') + b'kwargs' + \\\n"
        "    bytes.fromhex('21 00000001 11 00000001') + b'k\\0', frame\n"
        "assert wire_app(frame) == 'm:A'\n"
        "assert wire_split(frame)[:2] == (1, 1)\n"
        "frame = wire_reply(2, 2**64 - 1, 'result', 'x')\n"
        "kind, number, payload = wire_split(frame)\n"
        "assert (kind, number) == (2, 2**64 - 1)\n"
        "assert wire_decode(payload) == {'result': 'x'}\n");
}
END_TEST

START_TEST(only_one_whole_frame_is_split)
{
    expect("frame = wire_reply(2, 5, 'result', 'x')\n"
           "for bad in (b'', frame[:-1], frame + b'x', frame + frame,\n"
           "            b'X' + frame[1:], frame[:2] + b'\\2' + frame[3:],\n"
           "            frame[:15]):\n"
           "    assert wire_split(bad) is None, bad\n"
           "for bad in (b'', frame, frame[:20]):\n"
           "    assert wire_app(bad) is None, bad\n"
           "long = wire_request(1, 'm:A', 'f', (), {})\n"
           "for n in range(16 + 5 + 13 + 5 + 3):\n"
           "    assert wire_app(long[:n]) is None, n\n"
           "bad = bytearray(long)\n"
           "bad[39:42] = b'\\xff' * 3\n"
           "assert wire_app(bytes(bad)) is None\n");
}
END_TEST

START_TEST(what_cannot_go_is_named)
{
    expect("refused('Unsupported type for TLV encoding: object', wire_encode,\n"
           "        [object()])\n"
           "refused('Integer out of range: 9223372036854775808', wire_encode,\n"
           "        2**63)\n"
           "refused('Integer out of range', wire_encode, -2**63 - 1)\n"
           "refused('List too large: 1048577 items (max: 1048576)',\n"
           "        wire_encode, [None] * 1048577)\n"
           "refused('Bytes too large: 67108865 bytes (max: 67108864)',\n"
           "        wire_encode, bytes(67108865))\n"
           "refused('Message too large', wire_reply, 2, 1, 'result',\n"
           "        bytes(67108864))\n"
           "deep = []\n"
           "for _ in range(102):\n"
           "    deep = [deep]\n"
           "refused('nested too deeply', wire_encode, deep)\n"
           "deep.append(deep)\n"
           "refused('nested too deeply', wire_encode, deep)\n"
           "try:\n"
           "    wire_encode('\\ud800')\n"
           "    raise AssertionError\n"
           "except UnicodeEncodeError:\n"
           "    pass\n");
}
END_TEST

START_TEST(what_others_run_on_the_way_breaks_nothing)
{
    expect("class Key:\n"
           "    def __str__(self):\n"
           "        d.clear()\n"
           "        rows.clear()\n"
           "        return 'k'\n"
           "rows = [1, {Key(): 2}, 'last']\n"
           "d = {Key(): rows, 'b': 1}\n"
           "same(d, {'k': [], 'b': 1})\n"
           "class Bad:\n"
           "    def __str__(self):\n"
           "        raise KeyError('mine')\n"
           "try:\n"
           "    wire_encode({Bad(): 1})\n"
           "    raise AssertionError\n"
           "except KeyError:\n"
           "    pass\n");
}
END_TEST

START_TEST(what_is_no_value_is_named)
{
    expect(
        "for raw, text in (\n"
        "        (b'', 'Truncated TLV data'),\n"
        "        (b'\\1', 'Truncated'), (b'\\5\\0', 'Truncated'),\n"
        "        (b'\\x11\\0\\0\\0\\5abc', 'Truncated'),\n"
        "        (b'\\x11\\xff\\xff\\xff\\xff', 'TLV length 4294967295 "
        "above'),\n"
        "        (b'\\x20\\0\\x0f\\xff\\xff', 'Truncated'),\n"
        "        (b'\\x20\\xff\\xff\\xff\\xff', 'TLV length'),\n"
        "        (b'\\x77', 'Unknown TLV type code: 0x77'),\n"
        "        (b'\\0\\0', 'Trailing data after TLV'),\n"
        "        (b'\\x21\\0\\0\\0\\1\\5' + bytes(9), 'Dict key must be'),\n"
        "        (b'\\x11\\0\\0\\0\\1\\xff', 'Invalid UTF-8 in string: '),\n"
        "        (b'\\x20\\0\\0\\0\\1' * 102 + b'\\0', 'nested too deeply')):\n"
        "    refused(text, wire_decode, raw)\n"
        "assert wire_decode_at(b'xx\\0\\0', 2) == (None, 3)\n"
        "refused('Truncated', wire_decode_at, b'x', 9)\n");
}
END_TEST

START_TEST(broken_bytes_are_a_value_or_refused)
{
    expect("r = random.Random(7)\n"
           "whole = wire_encode({'a': [1, 2.5, 'x', b'y', None, True],\n"
           "                     'b': {'c': ['d'] * 9}})\n"
           "taken = refused = 0\n"
           "for _ in range(20000):\n"
           "    raw = bytearray(whole)\n"
           "    for _ in range(r.randrange(1, 4)):\n"
           "        raw[r.randrange(len(raw))] = r.choice(\n"
           "            (0, 1, 5, 16, 17, 32, 33, 255, r.randrange(256)))\n"
           "    if r.random() < .3:\n"
           "        del raw[r.randrange(len(raw)):]\n"
           "    try:\n"
           "        wire_decode(bytes(raw))\n"
           "        taken += 1\n"
           "    except WireError:\n"
           "        refused += 1\n"
           "assert taken and refused, (taken, refused)\n");
}
END_TEST

int
main(int argc, char **argv)
{
    struct cg_python_choice choice;
    struct cg_error err = {0};
    if (cg_python_choose(argv[0], NULL, &choice, &err) < 0 ||
        cg_python_start(&choice, argc, argv, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    Suite *suite = suite_create("dirty_wire");
    TCase *t = tcase_create("dirty_wire");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, values_come_back_as_they_went);
    tcase_add_test(t, subclasses_go_as_what_they_are_kin_of);
    tcase_add_test(t, a_call_is_the_frame_of_the_reference);
    tcase_add_test(t, only_one_whole_frame_is_split);
    tcase_add_test(t, what_cannot_go_is_named);
    tcase_add_test(t, what_others_run_on_the_way_breaks_nothing);
    tcase_add_test(t, what_is_no_value_is_named);
    tcase_add_test(t, broken_bytes_are_a_value_or_refused);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* the interpreter is here */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    cg_python_finish();
    return failed == 0 ? 0 : 1;
}
