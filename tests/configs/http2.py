http2_max_concurrent_streams = 200
http2_initial_window_size = 1048576
http2_max_frame_size = 32768
http2_max_header_list_size = 0
http2_cleartext = "prior-knowledge"
