# SPDX-License-Identifier: MIT
"""Tornado's chat demo written anew: rooms are gone, WebSocket and long polls
are there; what was said is kept, who comes later is told."""
import json

import tornado.ioloop
import tornado.locks
import tornado.web
import tornado.websocket

ran = []
tornado.ioloop.IOLoop.current().add_callback(ran.append, "early")
news = tornado.locks.Condition()
said = []
people = set()


def publish(message):
    said.append(message)
    news.notify_all()
    for person in people:
        person.write_message(message)


class Page(tornado.web.RequestHandler):
    def get(self):
        self.write({"ran": ran, "people": len(people)})


class New(tornado.web.RequestHandler):
    def post(self):
        publish({"from": "page", "text": self.get_argument("text")})
        self.write("ok")


class Updates(tornado.web.RequestHandler):
    """A long poll: answers once there is more than the client has."""

    async def get(self):
        have = int(self.get_argument("have"))
        while len(said) <= have:
            await news.wait()
        self.write(json.dumps(said[have:]))


class Chat(tornado.websocket.WebSocketHandler):
    def open(self):
        people.add(self)
        self.write_message({"said": len(said), "people": len(people)})

    def on_message(self, text):
        publish({"from": self.get_argument("name"), "text": text})

    def on_close(self):
        people.discard(self)
        publish({"left": self.get_argument("name")})


app = tornado.web.Application([
    ("/", Page), ("/new", New), ("/updates", Updates), ("/chat", Chat)])
