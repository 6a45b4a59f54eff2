# SPDX-License-Identifier: MIT
"""An ASGI face for WSGI applications, so that tests of what the server does by
itself run for the class asgi, too: asgi_face:face('probe:app')."""
import importlib
import io
import sys
from wsgiref.util import FileWrapper


def environ_of(scope, body):
    server = scope["server"] or ("localhost", 80)
    path = scope["path"].encode().decode("latin-1")
    environ = {
        "REQUEST_METHOD": scope["method"], "SCRIPT_NAME": "", "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "RAW_URI": scope["raw_path"].decode("latin-1"),
        "SERVER_NAME": server[0], "SERVER_PORT": str(server[1] or ""),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0), "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.multithread": False, "wsgi.multiprocess": True,
        "wsgi.run_once": False, "wsgi.file_wrapper": FileWrapper,
    }
    if scope["client"]:
        environ["REMOTE_PORT"] = str(scope["client"][1])
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        text = value.decode("latin-1")
        environ[key] = environ[key] + "," + text if key in environ else text
    if "cgunicorn.request_id" in scope:
        environ["cgunicorn.request_id"] = scope["cgunicorn.request_id"]
    return environ


class Reply:
    def __init__(self, send):
        self.send = send
        self.head = None
        self.begun = False

    def start(self, status, headers, exc_info=None):
        self.head = {
            "type": "http.response.start", "status": int(status[:3]),
            "headers": [(n.encode("latin-1"), v.encode("latin-1"))
                        for n, v in headers]}
        return self.write

    def begin(self):
        if not self.begun:
            self.begun = True
            return self.send(self.head)
        return None

    def write(self, data):
        """send() acts when it is called: nothing has to wait for it."""
        self.begin()
        self.send({"type": "http.response.body", "body": data,
                   "more_body": True})

    async def part(self, data, more):
        self.begin()
        await self.send({"type": "http.response.body", "body": data,
                         "more_body": more})


async def body_of(receive):
    body = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body.append(message["body"])
        if not message["more_body"]:
            return b"".join(body)


def face(spec):
    module, _, name = spec.partition(":")
    wsgi = importlib.import_module(module)
    for part in name.split("."):
        wsgi = getattr(wsgi, part)

    async def application(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body = await body_of(receive)
        if body is None:
            return
        reply = Reply(send)
        result = wsgi(environ_of(scope, body), reply.start)
        try:
            if isinstance(result, (list, tuple)) and len(result) < 2:
                await reply.part(b"".join(result), False)
                return
            for data in result:
                if data:
                    await reply.part(data, True)
            await reply.part(b"", False)
        finally:
            if hasattr(result, "close"):
                result.close()
    return application
