# SPDX-License-Identifier: MIT
"""soaked.py as a tornado.web.Application, with a WebSocket at /echo."""
import asyncio
import json

import soaked
import tornado.iostream
import tornado.web
import tornado.websocket


class Hello(tornado.web.RequestHandler):
    def get(self):
        self.write("hello")


class Measure(tornado.web.RequestHandler):
    def get(self):
        self.write(json.dumps(soaked.measure()))


class Length(tornado.web.RequestHandler):
    def post(self):
        self.write(str(len(self.request.body)))


class Wait(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0.02)
        self.write("waited")


class Big(tornado.web.RequestHandler):
    def get(self):
        self.write(b"b" * (4 << 20))


class Stream(tornado.web.RequestHandler):
    async def get(self):
        soaked.OPEN["requests"] += 1
        try:
            for _ in range(20):
                await asyncio.sleep(0.002)
                self.write(b"s" * 20000)
                await self.flush()
        except tornado.iostream.StreamClosedError:
            pass
        finally:
            soaked.OPEN["requests"] -= 1


class Echo(tornado.websocket.WebSocketHandler):
    def open(self):
        soaked.OPEN["requests"] += 1

    def on_message(self, message):
        self.write_message(message)

    def on_close(self):
        soaked.OPEN["requests"] -= 1


app = tornado.web.Application([
    ("/hello", Hello), ("/measure", Measure), ("/length", Length),
    ("/wait", Wait), ("/big", Big), ("/stream", Stream), ("/echo", Echo)])
