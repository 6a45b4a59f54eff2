# SPDX-License-Identifier: MIT
from _cgunicorn_glue import dirty_wire as wire

from .errors import DirtyProtocolError


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
            return wire._get(data, offset, 0)
        except wire.WireError as e:
            raise DirtyProtocolError(str(e)) from None

    @staticmethod
    def decode_full(data):
        try:
            return wire.decode(data)
        except wire.WireError as e:
            raise DirtyProtocolError(str(e)) from None
