# SPDX-License-Identifier: MIT
"""A Flask application: `app`, `checked` (both sides of PEP 3333 are checked)
and `create_app(title)`."""
import hashlib
import io
import os
from wsgiref.validate import validator

import flask

pages = flask.Blueprint("pages", __name__)


@pages.get("/")
def index():
    return flask.current_app.config["TITLE"]


@pages.post("/json")
def json_echo():
    given = flask.request.get_json()
    return flask.jsonify(got=given, args=flask.request.args.to_dict(),
                         agent=str(flask.request.user_agent))


@pages.get("/environment")
def environment():
    r = flask.request
    return {"url": r.url, "host": r.host, "scheme": r.scheme,
            "peer": r.remote_addr, "pid": os.getpid(),
            "external": flask.url_for("pages.index", _external=True)}


@pages.get("/count")
def count():
    flask.session["count"] = flask.session.get("count", 0) + 1
    reply = flask.make_response(str(flask.session["count"]))
    reply.set_cookie("seen", "caf\u00e9", httponly=True, samesite="Lax")
    reply.set_cookie("second", "2")
    return reply


@pages.get("/cookies")
def cookies():
    return flask.request.cookies.to_dict()


@pages.route("/moved", methods=["GET", "POST"])
def moved():
    return flask.redirect(flask.url_for("pages.index"), 303)


@pages.get("/stream")
def stream():
    def lines():
        for i in range(int(flask.request.args["count"])):
            yield f"line {i}\n"
    return flask.Response(flask.stream_with_context(lines()),
                          mimetype="text/plain")


@pages.post("/upload")
def upload():
    found = {}
    for name, file in flask.request.files.items():
        data = file.read()
        found[name] = [file.filename, len(data),
                       hashlib.sha256(data).hexdigest()]
    return flask.jsonify(files=found, form=flask.request.form.to_dict())


@pages.route("/body", methods=["POST", "PUT"])
def body():
    """Reads the body as a stream, however it is framed."""
    total, size = hashlib.sha256(), 0
    while True:
        part = flask.request.stream.read(50000)
        if not part:
            break
        total.update(part)
        size += len(part)
    return {"size": size, "sha": total.hexdigest()}


@pages.get("/file")
def file():
    return flask.send_file(os.path.abspath(__file__), mimetype="text/plain",
                           conditional=True)


@pages.get("/memory")
def memory():
    return flask.send_file(io.BytesIO(b"from memory" * 1000),
                           mimetype="text/plain")


@pages.get("/empty")
def empty():
    return "", 204


@pages.get("/teapot")
def teapot():
    flask.abort(418)


@pages.get("/boom")
def boom():
    raise RuntimeError("the till is jammed")


def not_found(error):
    return flask.render_template_string(
        "nothing at {{ request.path }}"), 404


def create_app(title="the shop"):
    made = flask.Flask(__name__)
    made.config["TITLE"] = title
    made.secret_key = "only for tests"
    made.register_blueprint(pages)
    made.register_error_handler(404, not_found)
    return made


class Input:
    """wsgi.input for callers of read(), which PEP 3333 does not know."""

    def __init__(self, source):
        self.source = source
        self.readline = source.readline
        self.readlines = source.readlines

    def read(self, size=-1):
        return self.source.read(size)

    def __iter__(self):
        return iter(self.source)


def conforming(application):
    """Takes back what Werkzeug does against the rules."""
    def run(environ, start_response):
        def start(status, fields, exc_info=None):
            if status[:3] in ("204", "304"):
                fields = [f for f in fields if f[0] != "Content-Type"]
            return start_response(status, fields, exc_info)
        environ["wsgi.input"] = Input(environ["wsgi.input"])
        return application(environ, start)
    return run


app = create_app()
checked = validator(conforming(app))
