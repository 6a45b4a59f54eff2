secure_scheme_headers = {
    "X-FORWARDED-PROTOCOL": "ssl",
    "X-FORWARDED-PROTO": "https",
    "X-FORWARDED-SSL": "on",
    "FRONT-END-HTTPS": "on",
}
forwarded_allow_ips = ""
