# SPDX-License-Identifier: MIT
"""Contexts of TLS: made by the module ssl as gunicorn makes them, then given to
the server's own connections. What is wrong with a file is said here, in one line
that names it and the way out."""
import os

_built_with = {"h2": True}  # whether the server speaks HTTP/2
_passphrases = {}  # of keys that were asked for, by file: for reloads


class Refused(Exception):
    """TLS cannot be served as it is asked for."""


# ---- what is wrong with the files ----

def _look(name, path, hint):
    """A file that is there and can be read."""
    if not os.path.exists(path):
        raise Refused("%s \"%s\" does not exist: %s" % (name, path, hint))
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise Refused("%s '%s' cannot be read: %s: %s" % (
            name, path, e.strerror or e, "let the user that starts the server read it"
            if e.errno == 13 else hint)) from None


def _ask(path):
    """For an encrypted key: once, on the terminal."""
    def password():
        if path not in _passphrases:
            import sys

            if not (sys.stdin and sys.stdin.isatty()):
                raise Refused(
                    "keyfile '%s' is encrypted, and there is no terminal to ask for its "
                    "passphrase: decrypt it (openssl pkey -in %s -out new.pem), or give "
                    "the passphrase to load_cert_chain in the hook ssl_context" % (path, path))
            import getpass

            _passphrases[path] = getpass.getpass("Passphrase for %s: " % path)
        return _passphrases[path]

    return password


def _explain(error, certfile, keyfile):
    reason = getattr(error, "reason", None) or ""
    if "KEY_VALUES_MISMATCH" in reason:
        return ("keyfile '%s' is not the key of certfile '%s': give the two that belong "
                "together" % (keyfile, certfile))
    # a PKCS#8 key that is not opened is no more than "PEM lib"
    if keyfile in _passphrases or "BAD_DECRYPT" in reason or "BAD_PASSWORD_READ" in reason:
        _passphrases.pop(keyfile, None)
        return "keyfile '%s': the passphrase is wrong" % keyfile
    text = (reason.replace("_", " ").lower() or str(error))
    data = _look("certfile", certfile, "")
    if b"-----BEGIN CERTIFICATE-----" not in data:
        return ("certfile '%s' has no certificate in PEM form (-----BEGIN CERTIFICATE-----): "
                "convert it with openssl x509" % certfile)
    key = _look("keyfile", keyfile, "")
    if b"PRIVATE KEY-----" not in key:
        return ("%s has no private key in PEM form: name the key's file with keyfile" % (
            "certfile '%s'" % certfile if keyfile == certfile else "keyfile '%s'" % keyfile))
    return "certfile '%s', keyfile '%s': %s" % (certfile, keyfile, text)


def _load_chain(context, certfile, keyfile):
    _look("certfile", certfile, "write the path of the certificate")
    if keyfile:
        _look("keyfile", keyfile, "write the path of the private key")
    key = keyfile or certfile
    try:
        context.load_cert_chain(certfile, keyfile or None, password=_ask(key))
    except OSError as e:  # ssl.SSLError is one
        raise Refused(_explain(e, certfile, key)) from None


# ---- contexts ----

def _trust(cfg):
    import ssl

    if cfg.ca_certs:
        _look("ca_certs", cfg.ca_certs, "write the path of the authorities' certificates")
    try:
        return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cfg.ca_certs or None)
    except OSError as e:
        raise Refused("ca_certs '%s' has no certificates in PEM form that OpenSSL takes: %s" % (
            cfg.ca_certs, getattr(e, "reason", None) or e)) from None


def _context(cfg, certfile, keyfile):
    import ssl

    context = _trust(cfg)
    _load_chain(context, certfile, keyfile)
    try:
        context.verify_mode = cfg.cert_reqs
    except ValueError:
        raise Refused("cert_reqs: %r is none of 0 (no client certificate), 1 (asked for) "
                      "and 2 (demanded)" % (cfg.cert_reqs,)) from None
    if cfg.ciphers:
        try:
            context.set_ciphers(cfg.ciphers)
        except ssl.SSLError:
            raise Refused("ciphers: OpenSSL knows none of '%s' (openssl ciphers shows what "
                          "there is)" % cfg.ciphers) from None
    names = {"h1": "http/1.1", "h2": "h2"}
    listed = getattr(cfg, "http_protocols", None) or ["h1"]
    offered = [names[p] for p in listed if p != "h2" or _built_with["h2"]]
    context.set_alpn_protocols(offered or ["http/1.1"])
    return context


def _with_hook(cfg, hook):
    """What the user's hook makes of the factory."""
    import ssl

    def default_ssl_context_factory():
        if not cfg.certfile:
            raise Refused("keyfile is set, and certfile is not: set certfile")
        return _context(cfg, cfg.certfile, cfg.keyfile)

    if not hook:
        return default_ssl_context_factory()
    try:
        context = cfg.ssl_context(cfg, default_ssl_context_factory)
    except Refused:
        raise
    except Exception as e:
        raise Refused("the hook ssl_context raised %s: %s" % (type(e).__name__, e)) from e
    if not isinstance(context, ssl.SSLContext):
        raise Refused("the hook ssl_context returned %r: it must return an ssl.SSLContext, "
                      "as default_ssl_context_factory() does" % (context,))
    return context


def _library():
    """The path of the shared object whose OpenSSL is Python's."""
    try:
        import _ssl
    except ImportError as e:
        raise Refused("this Python has no ssl module (%s): use one that has, or let a proxy "
                      "in front of the server do TLS" % e) from None
    path = getattr(_ssl, "__file__", None)
    if not path:
        raise Refused("this Python's ssl module is built into the interpreter, and its OpenSSL "
                      "cannot be reached: use a Python whose _ssl is a shared object, or let a "
                      "proxy in front of the server do TLS")
    return path


def _session_seed(cfg, context):
    """Sessions go on only where a client certificate means the same."""
    import hashlib

    seed = hashlib.sha256(b"cgunicorn %d " % int(context.verify_mode))
    if cfg.ca_certs and int(context.verify_mode):
        seed.update(_look("ca_certs", cfg.ca_certs, ""))
    return seed.digest()[:32]


def _described(context, names, source):
    import _ssl

    if not isinstance(context, _ssl._SSLContext):
        raise Refused("%s: %r is no context of this Python's ssl" % (source, context))
    least = int(getattr(context, "minimum_version", 0))
    return (context, int(context.verify_mode), int(context.options),
            least, tuple(names or ()), source)


_master = []  # the process that makes certificates for development


def _make_for_development(cfg):
    """In the master; a worker reads what is there."""
    if not _master:
        _master.append(os.getpid())
    if _master[0] != os.getpid():
        return ""
    from _cgunicorn_glue.dev_cert import ensure

    return ensure(cfg)


def make(cfg, hook, has_http2):
    """What the server needs: the library, the contexts, the file for secrets, whether
    sni_callback is to be asked, what resumed sessions share, and what to warn of."""
    _built_with["h2"] = has_http2
    library = _library()
    notice = _make_for_development(cfg) if getattr(cfg, "dev_cert", False) else ""
    first = _with_hook(cfg, hook)
    contexts = [_described(first, None,
                           "ssl_context" if hook else "certfile '%s'" % cfg.certfile)]
    for item in getattr(cfg, "certificates", None) or ():
        contexts.append(_described(
            _context(cfg, item["certfile"], item.get("keyfile")), item.get("names"),
            "certificates: certfile '%s'" % item["certfile"]))
    if int(first.verify_mode) and not first.get_ca_certs() and not cfg.ca_certs and not hook:
        raise Refused("cert_reqs asks for client certificates, and no authority is known whose "
                      "they may be: name a file with ca_certs")
    asks = getattr(first, "sni_callback", None)
    return (library, contexts, getattr(first, "keylog_filename", None) or "",
            asks, _session_seed(cfg, first), notice)


# ---- sni_callback ----

class Handshake:
    """What sni_callback gets in place of a socket: its context can be set."""

    def __init__(self, context, name):
        self.context = context
        self.server_hostname = name
        self.server_side = True


def ask(callback, first, name):
    """(the context to go on with, an alert's number or 0)"""
    import ssl

    handshake = Handshake(first, name)
    try:
        alert = callback(handshake, name, first)
    except Exception:
        import sys
        import traceback

        traceback.print_exc(file=sys.stderr)
        return first, int(ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE)
    if alert is not None and not isinstance(alert, int):
        return first, int(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
    return handshake.context, int(alert or 0)
