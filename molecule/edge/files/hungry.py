# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for a server whose worker takes more memory than its unit may: argument, a file.

As with gunicorn, the main process starts a worker and replaces one that dies. A worker takes memory
without an end while the file exists; the main process removes it when that worker died.
"""

import os
import sys
import time

BLOCK = 8 << 20
trigger = sys.argv[1]


def work():
    kept = []
    while True:
        if os.path.exists(trigger):
            kept.append(b"x" * BLOCK)
        else:
            time.sleep(0.1)


while True:
    worker = os.fork()
    if worker == 0:
        work()
    os.waitpid(worker, 0)
    if os.path.exists(trigger):
        os.unlink(trigger)
