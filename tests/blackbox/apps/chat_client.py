# SPDX-License-Identifier: MIT
"""Three people in chat.py, by python-socketio: URL TRANSPORT [TRANSPORT]."""
import queue
import sys

import socketio

DEADLINE = 60
EVENTS = ("joined", "said", "heard", "left")


class Person:
    def __init__(self, url, transports):
        self.heard = queue.Queue()
        self.client = socketio.Client(reconnection=False)
        for event in EVENTS:
            self.client.on(event, self.note(event))
        self.client.connect(url, transports=transports)

    def note(self, event):
        return lambda told: self.heard.put((event, told))

    def until(self, *wanted):
        """Everything up to these events, in whatever order they come."""
        left = list(wanted)
        while left:
            event = self.heard.get(timeout=DEADLINE)
            if event in left:
                left.remove(event)

    def call(self, event, value):
        return self.client.call(event, value, timeout=DEADLINE)


def chat(url, transports):
    ann, bob, eve = people = [Person(url, transports) for _ in range(3)]
    for person, name in zip(people, ("ann", "bob", "eve")):
        person.call("join", name)
        for other in people:
            other.until(("joined", name))
    text = "caf\u00e9 \u2603 " * 2000
    assert ann.call("say", text) == len(text)
    for person in people:
        person.until(("said", ["ann", text]), ("heard", ["ann", len(text)]))
        assert person.client.transport() == transports[-1]
    bob.client.disconnect()
    for person in (ann, eve):
        person.until(("left", "bob"))
    assert eve.call("say", "still here") == 10
    ann.until(("said", ["eve", "still here"]))
    for person in (ann, eve):
        person.client.disconnect()
    print("they have talked")


chat(sys.argv[1], sys.argv[2:])
