proxy_protocol = True
proxy_allow_ips = "10.1.0.0/16"
forwarder_headers = "SCRIPT_NAME,PATH_INFO,REMOTE_USER"
header_map = "refuse"
strip_header_spaces = True
permit_obsolete_folding = False
