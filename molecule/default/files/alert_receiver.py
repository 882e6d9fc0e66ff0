# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for whoever takes alerts: writes the body of the last POST to a file.

Usage: alert_receiver.py PORT FILE
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Take one alert after the other."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[2], "wb") as file:
            file.write(body)
        self.send_response(204)
        self.end_headers()


HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
