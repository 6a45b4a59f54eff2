# Django behind nginx on the same machine:
#   cgunicorn -c django_nginx.py project.wsgi
# and in nginx: proxy_pass http://unix:/run/shop/app.sock;
import multiprocessing
import os

bind = "unix:" + os.environ.get("SHOP_SOCKET", "run/app.sock")
workers = multiprocessing.cpu_count() * 2 + 1

# nginx says by which protocol the client came; peers on a unix socket are
# trusted, so X-Forwarded-Proto decides wsgi.url_scheme.
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

timeout = 30
max_requests = 1000
max_requests_jitter = 100
proc_name = "shop"
errorlog = "-"
