"""Changes a module of the standard library, harmlessly."""
import socket


def patch_all():
    socket.is_patched = True
