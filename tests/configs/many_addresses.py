bind = [
    "127.0.0.1:8000",
    "[::1]:8000",
    "unix:/tmp/many.sock",
]
workers = 2
