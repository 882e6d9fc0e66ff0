# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# A tutorial's settings for gunicorn, as written; gunicorn knows no "preload", but says nothing.
import multiprocessing

bind = "127.0.0.1:8000"
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "sync"
worker_connections = 1000
timeout = 30
keepalive = 5
max_requests = 1000
max_requests_jitter = 100
daemon = True
pidfile = "/var/run/tutorial-gunicorn.pid"
accesslog = "/var/log/tutorial-gunicorn-access.log"
errorlog = "/var/log/tutorial-gunicorn-error.log"
loglevel = "info"
capture_output = True
preload = True
