# SPDX-License-Identifier: MIT
"""HTTPS for development: an authority of this user's own and a certificate that it
signs, made by the program openssl once and kept in the user's data folder. Whoever
trusts the authority's certificate trusts the server; nobody else does."""
import os

from _cgunicorn_glue.tls import Refused

_RENEW_S = 30 * 24 * 3600  # a certificate that ends sooner is made anew
_AUTHORITY_DAYS, _CERTIFICATE_DAYS = 3650, 397  # browsers take no more than 398
_ANYWHERE = ("", "0.0.0.0", "::", "*")


# ---- the folder ----

def _folder(certfile):
    """Made if it is not there; nobody else may read it or write to it."""
    folder = os.path.dirname(certfile)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        st = os.stat(folder)
    except OSError as e:
        raise Refused("dev_cert: the folder '%s' cannot be made: %s: make it, or name "
                      "another place with XDG_DATA_HOME" % (folder, e.strerror)) from None
    if st.st_uid != os.geteuid() or st.st_mode & 0o077:
        raise Refused("dev_cert: the folder '%s' must belong to the user that starts the "
                      "server, and be closed to others: chmod 700 it, or remove it"
                      % folder)
    return folder


class _Lock:
    """Two servers that start at once make one certificate."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "lock")

    def __enter__(self):
        import fcntl

        try:
            self.fd = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise Refused("dev_cert: '%s': %s: let the user that starts the server "
                          "write there" % (self.path, e.strerror)) from None
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *exc):
        os.close(self.fd)


# ---- who it is for ----

def _host(bind):
    """The host of an item of bind; None: it has none (a path, a descriptor)."""
    if bind.startswith("tls:"):
        bind = bind[4:]
    if bind.startswith(("unix:", "fd://", "/")):
        return None
    if bind.startswith("["):
        return bind[1:].split("]")[0]
    return bind.rsplit(":", 1)[0] if bind.count(":") == 1 else bind


def _names(binds):
    """Names and addresses that clients may ask for, "DNS:..." and "IP:..."."""
    import ipaddress
    import socket

    names = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"]
    for host in map(_host, binds):
        if host in _ANYWHERE:
            host = socket.gethostname()
        try:
            host = "IP:%s" % ipaddress.ip_address(host or "127.0.0.1")
        except ValueError:
            plain = host.replace("-", "").replace(".", "").replace("_", "")
            if not (plain.isascii() and plain.isalnum()):
                continue  # no name that a certificate can have
            host = "DNS:%s" % host
        if host not in names:
            names.append(host)
    return names


# ---- made by openssl ----

def _openssl(*args, given=None):
    import subprocess

    try:
        done = subprocess.run(("openssl",) + args, input=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    except OSError as e:
        raise Refused("dev_cert: the program openssl makes the certificate, and cannot be "
                      "run: %s: install it, or name a certificate with certfile"
                      % (e.strerror or e)) from None
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        raise Refused("dev_cert: openssl %s failed: %s: install OpenSSL 1.1.1 or newer, or "
                      "name a certificate with certfile" % (args[0], last[:200]))
    return done.stdout


def _write(path, data):
    """All of it or nothing, for its owner only."""
    new = "%s.%d" % (path, os.getpid())
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.replace(new, path)
    except OSError as e:
        raise Refused("dev_cert: '%s' cannot be written: %s" % (path, e.strerror)) from None


def _new_key():
    return _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-pkeyopt", "ec_param_enc:named_curve")


def _configuration(subject, extensions):
    return ("[req]\nprompt = no\nutf8 = yes\nstring_mask = utf8only\n"
            "distinguished_name = subject\n[subject]\n%s\n[extensions]\n%s\n"
            % (subject, "\n".join(extensions))).encode()


def _signed(folder, key, subject, extensions, days, authority=None):
    """The certificate of a key, in PEM form; authority: (certificate, key), or it
    signs itself."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="making-", dir=folder) as work:
        conf, key_file = os.path.join(work, "conf"), os.path.join(work, "key")
        _write(conf, _configuration(subject, extensions))
        _write(key_file, key)
        serial = "0x%s" % os.urandom(16).hex().lstrip("0")
        if authority is None:
            return _openssl("req", "-x509", "-new", "-config", conf, "-key", key_file,
                            "-extensions", "extensions", "-days", str(days), "-sha256",
                            "-set_serial", serial)
        request = _openssl("req", "-new", "-config", conf, "-key", key_file)
        return _openssl("x509", "-req", "-CA", authority[0], "-CAkey", authority[1],
                        "-set_serial", serial, "-days", str(days), "-sha256",
                        "-extfile", conf, "-extensions", "extensions", given=request)


def _remaining(path):
    """Seconds that a certificate is good for still; below 0: it is none."""
    import ssl
    import time

    try:
        facts = ssl._ssl._test_decode_cert(path)
        return ssl.cert_time_to_seconds(facts["notAfter"]) - time.time()
    except Exception:
        return -1


def _make_authority(folder, certificate, key_file):
    import getpass
    import socket

    if _remaining(certificate) > _RENEW_S and os.path.exists(key_file):
        return False
    try:
        who = "%s@%s" % (getpass.getuser(), socket.gethostname())
    except (KeyError, OSError):
        who = "uid %d" % os.geteuid()
    who = "".join(c if c.isascii() and (c.isalnum() or c in " @.-_") else "_" for c in who)
    key = _new_key()
    made = _signed(folder, key, "O = cgunicorn development\nCN = cgunicorn development (%s)"
                   % who[:40], ["basicConstraints = critical, CA:TRUE, pathlen:0",
                                "keyUsage = critical, keyCertSign, cRLSign",
                                "subjectKeyIdentifier = hash"], _AUTHORITY_DAYS)
    _write(key_file, key)
    _write(certificate, made)
    return True


def _covers(certfile, keyfile, wanted):
    """Whether what is there will do."""
    import ssl

    if _remaining(certfile) < _RENEW_S or not os.path.exists(keyfile):
        return False
    have = {"%s:%s" % (kind.replace("IP Address", "IP"), value.strip().lower())
            for kind, value in ssl._ssl._test_decode_cert(certfile).get("subjectAltName", ())}
    return all(_as_decoded(name) in have for name in wanted)


def _as_decoded(name):
    """As Python's ssl writes it: addresses of IPv6 in full, capitals made small."""
    import ipaddress

    if not name.startswith("IP:"):
        return "DNS:" + name[4:].lower()
    address = ipaddress.ip_address(name[3:])
    if address.version == 4:
        return name
    return "IP:" + ":".join("%x" % int(part, 16) for part in address.exploded.split(":"))


def ensure(cfg):
    """Makes what is missing, outdated, or not for these addresses. The sentence that
    says what is served, and how it is trusted."""
    folder = _folder(cfg.certfile)
    authority = (os.path.join(folder, "authority.pem"), os.path.join(folder, "authority.key"))
    names = _names(cfg.bind if isinstance(cfg.bind, (list, tuple)) else [cfg.bind])
    with _Lock(folder):
        new = _make_authority(folder, *authority)
        if new or not _covers(cfg.certfile, cfg.keyfile, names):
            key = _new_key()
            made = _signed(folder, key, "O = cgunicorn development\nCN = localhost", [
                "basicConstraints = critical, CA:FALSE",
                "keyUsage = critical, digitalSignature",
                "extendedKeyUsage = serverAuth",
                "subjectAltName = " + ", ".join(names)], _CERTIFICATE_DAYS, authority)
            _write(cfg.keyfile, key)
            _write(cfg.certfile, made)
    return ("dev_cert: for development only: the certificate is for %s, and only who trusts "
            "'%s' accepts it (curl --cacert; import it into the browser's authorities; "
            "docs/tls.md)" % (", ".join(n.split(":", 1)[1] for n in names), authority[0]))
