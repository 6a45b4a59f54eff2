# SPDX-License-Identifier: MIT
from _cgunicorn_glue import dirty_wire as wire

from .errors import DirtyProtocolError

TYPE_NONE, TYPE_BOOL, TYPE_INT64, TYPE_FLOAT64 = 0x00, 0x01, 0x05, 0x06
TYPE_BYTES, TYPE_STRING, TYPE_LIST, TYPE_DICT = 0x10, 0x11, 0x20, 0x21
MAX_STRING_SIZE = MAX_BYTES_SIZE = wire.MOST
MAX_LIST_SIZE = MAX_DICT_SIZE = wire.ITEMS_MOST


class TLVEncoder:
    @staticmethod
    def encode(value):
        try:
            return wire.encode(value)
        except wire.WireError as e:
            raise DirtyProtocolError(str(e)) from None

    @staticmethod
    def decode(data, offset=0):
        """(the value, where it ends)"""
        try:
            return wire.wire_decode_at(data, offset)
        except wire.WireError as e:
            raise DirtyProtocolError(str(e)) from None

    @staticmethod
    def decode_full(data):
        try:
            return wire.decode(data)
        except wire.WireError as e:
            raise DirtyProtocolError(str(e)) from None
