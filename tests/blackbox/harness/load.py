# SPDX-License-Identifier: MIT
"""A few clients that ask again and again while something happens to the
server. Bounded: each waits for its reply before it asks again."""
import threading

from .waiting import DEADLINE, until
from .wire import Closed, Peer


class Load:
    """
    keep=True: a connection each, used until the server says close; then that
    client is done (or takes a new one when reconnect is set).
    keep=False: a connection per request. Refused connections end a client.
    """

    def __init__(self, address, path="/", clients=4, keep=False,
                 reconnect=True, check=None):
        self.address = address
        self.path = path
        self.keep = keep
        self.reconnect = reconnect
        self.check = check or (lambda reply: reply.status == 200)
        self.answered = 0
        self.lost = []
        self.bodies = set()
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, daemon=True)
                         for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        self._halt.set()
        self.wait_ended()

    def wait_ended(self):
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "a client got stuck"

    def wait_answers(self, more):
        """Waits until that many further requests were answered."""
        goal = self.answered + more
        until(lambda: self.answered >= goal or self._all_ended(),
              lambda: f"{goal} answers; there are {self.answered}, lost: "
                      f"{self.lost}")
        assert self.answered >= goal, f"the clients ended: {self.lost}"

    def _all_ended(self):
        return not any(t.is_alive() for t in self._threads)

    def _client(self):
        while not self._halt.is_set():
            try:
                peer = Peer(self.address)
            except (ConnectionRefusedError, FileNotFoundError):
                return
            with peer:
                self._session(peer)
            if not self.reconnect:
                return

    def _session(self, peer):
        while not self._halt.is_set():
            close = () if self.keep else ("Connection: close",)
            try:
                reply = peer.get(self.path, *close).reply()
            except (Closed, AssertionError, OSError) as e:
                with self._lock:
                    self.lost.append(f"{type(e).__name__}: {e}")
                return
            with self._lock:
                if self.check(reply):
                    self.answered += 1
                    self.bodies.add(reply.body)
                else:
                    self.lost.append(repr(reply))
            if reply.says_close():
                return
