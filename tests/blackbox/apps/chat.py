# SPDX-License-Identifier: MIT
"""A Flask-SocketIO chat; MODE names how python-engineio does things at once."""
import os

from flask import Flask, request
from flask_socketio import SocketIO, emit

flask = app = Flask(__name__)
socketio = SocketIO(flask, async_mode=os.environ["MODE"])
names = {}


@flask.route("/names")
def page():
    return " ".join(sorted(names.values()))


@socketio.on("join")
def join(name):
    names[request.sid] = name
    emit("joined", name, broadcast=True)
    return len(names)


@socketio.on("say")
def say(text):
    socketio.start_background_task(later, names[request.sid], text)
    emit("said", [names[request.sid], text], broadcast=True)
    return len(text)


def later(name, text):
    socketio.sleep(0.01)
    socketio.emit("heard", [name, len(text)])


@socketio.on("disconnect")
def leave(*reason):
    emit("left", names.pop(request.sid, "nobody"), broadcast=True)
