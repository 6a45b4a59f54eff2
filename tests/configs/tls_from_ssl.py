import ssl

cert_reqs = ssl.CERT_REQUIRED
certfile = "cert.pem"


def ssl_context(conf, default_ssl_context_factory):
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
