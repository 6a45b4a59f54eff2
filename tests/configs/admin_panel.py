# The panel of a data base: one process, many threads, its own Server field.
import gunicorn

gunicorn.SERVER_SOFTWARE = "Python"
gunicorn.SERVER = "Python"
workers = 1
threads = 25
timeout = 86400
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 0
