# A configuration to start from: `cgunicorn -c plain.py hello:app`.
import mmap

bind = "127.0.0.1:8000"
workers = 2

# A word to the error log for each request would be too much; the access log is
# off unless it is named. "-" is standard output.
accesslog = "-"

# The sample page counts requests by worker in this shared memory.
counts = mmap.mmap(-1, 64 * 16)
