# SPDX-License-Identifier: MIT
"""Certificates for tests, made by openssl when they are wanted."""
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest


def openssl(*args, given=None):
    done = subprocess.run(["openssl", *map(str, args)], input=given,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {args}: {done.stderr.decode()}")
    return done.stdout


def needs_openssl():
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates, and is not installed")


class Authority:
    """Signs certificates; its own is `.certificate`."""

    def __init__(self, folder, name="Test CA"):
        needs_openssl()
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "ca.pem"
        self.key = self.folder / "ca.key"
        self.serial = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, *, names=("localhost",), days=30, key="ec",
              subject=None):
        """(certificate, key): files in PEM form."""
        self.serial += 1
        pem, keyfile, request, ext = (
            self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        kind = (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
                if key == "ec" else ["-newkey", key])
        openssl("req", "-new", *kind, "-nodes", "-keyout", keyfile, "-out",
                request, "-subj", subject or f"/CN={name}")
        sans = [f"IP:{n}" if n[0].isdigit() else f"DNS:{n}" for n in names]
        # what a client that checks to the letter wants (Python's, from 3.13 on)
        lines = ["basicConstraints=critical,CA:FALSE", "subjectKeyIdentifier=hash",
                 "authorityKeyIdentifier=keyid"]
        if sans:
            lines.append("subjectAltName=" + ",".join(sans + ["IP:127.0.0.1"]))
        ext.write_text("\n".join(lines) + "\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate,
                "-CAkey", self.key, "-set_serial", self.serial, "-out", pem,
                "-extfile", ext, "-days", days)
        return pem, keyfile


@functools.lru_cache(maxsize=None)
def shared():
    """(authority, certificate, key) of this run, for whoever wants any."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-tls-"))
    os.chmod(folder, 0o755)
    authority = Authority(folder)
    pem, key = authority.issue("server")
    os.chmod(key, 0o644)  # workers of other users: a key of tests only
    return authority, pem, key
