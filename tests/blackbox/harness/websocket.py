# SPDX-License-Identifier: MIT
"""A WebSocket client (RFC 6455) that shows every frame."""
import base64
import hashlib
import os
import struct

from .wire import Peer

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE = 1, 8


class WebSocket(Peer):
    def __init__(self, address, path):
        super().__init__(address)
        key = base64.b64encode(os.urandom(16)).decode()
        self.get(path, "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
        r = self.interim()
        assert r.status == 101, r
        wanted = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest())
        assert r.one("Sec-WebSocket-Accept") == wanted.decode()

    def send_frame(self, opcode, data):
        size = len(data)
        head = (bytes([0x80 | size]) if size < 126 else
                b"\xfe" + struct.pack(">H", size) if size < 65536 else
                b"\xff" + struct.pack(">Q", size))
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        return self.send(bytes([0x80 | opcode]) + head + mask + masked)

    def frame(self):
        """(opcode, data); a server neither masks nor, here, splits."""
        first, size = self._exactly(2)
        assert first & 0x80 and not size & 0x80, (first, size)
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return first & 15, self._exactly(size)

    def say(self, text):
        return self.send_frame(TEXT, text.encode())

    def hear(self):
        opcode, data = self.frame()
        assert opcode == TEXT, (opcode, data)
        return data.decode()

    def leave(self):
        """The closing handshake."""
        self.send_frame(CLOSE, struct.pack(">H", 1000))
        opcode, data = self.frame()
        assert opcode == CLOSE, (opcode, data)
        self.end_sending()
        self.assert_closed()
        self.close()
