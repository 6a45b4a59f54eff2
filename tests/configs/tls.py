bind = "0.0.0.0:8443"
certfile = "/etc/ssl/shop.crt"
keyfile = "/etc/ssl/shop.key"
ca_certs = "/etc/ssl/ca.crt"
cert_reqs = 2
ciphers = "ECDHE+AESGCM"
do_handshake_on_connect = True
suppress_ragged_eofs = False
