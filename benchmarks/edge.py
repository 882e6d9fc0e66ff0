# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What Nginx with TLS adds to the time to the first event of a stream, and what attacks add.

``make bench-edge`` runs it. One gunicorn serves both ways: its Unix socket directly, and through an
Nginx of this benchmark's own, configured by the templates of the role ``reverse_proxy``, on a port
of the loopback. The ways take turns in every round, in an order that changes. The client has one
core, Nginx and gunicorn have the others, where there is more than one.

gunicorn runs the model server with the stand-in of its tests for a model, which answers at once, so
that what is measured is the way and not a model. Prints a table in Markdown, in milliseconds, from
sending the request (on a new connection: from connecting, with the whole TLS handshake) to the end
of the event with the first text. A target that is missed is no failure: the machine may be busy.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import platform
import random
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import edge_pressed

HERE = Path(__file__).resolve().parent / "edge"
ROOT = HERE.parent.parent
COLLECTIONS = ROOT / ".ansible" / "collections"
TESTS = ROOT / "tests" / "server"
DOMAIN = "bench.example.test"
PATH = "/v1/chat/completions"
TARGET_MS = 10.0
WARM_UP = 20
# No more rounds begin after that.
SECONDS = 40
MODEL, KEY = "bench", "key-of-the-benchmark"
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True})
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
SETTINGS = {
    "service": {"name": MODEL, "task": "chat", "served_name": MODEL, "release": "bench"},
    "model": {"path": "/", "source": "stand-in", "id": MODEL, "revision": "1"},
    "engine": {"name": "llama_cpp"},
    "rates": {"requests_per_minute": 0, "address_requests_per_minute": 0},
    "observability": {"log_level": "error"},
}
NGINX = """\
user {user};
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/error.log;
# As in the distribution's nginx.conf
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    gzip on;
    include conf.d/*.conf;
}}
"""


class Direct(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(DOMAIN, timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of the address."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class Proxied(http.client.HTTPConnection):
    """HTTPS to a port of the loopback; chain and name are verified."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(DOMAIN, timeout=10)
        self._port, self._context = port, context

    def connect(self) -> None:
        """Connect to the loopback in place of the name."""
        plain = socket.create_connection(("127.0.0.1", self._port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(plain, server_hostname=DOMAIN)


def first_event(connection: http.client.HTTPConnection) -> float:
    """Return the milliseconds until the first text is there; the rest is read after that."""
    begun = time.perf_counter()
    connection.request("POST", PATH, body=BODY, headers=HEADERS)
    response = connection.getresponse()
    line = b"first"
    while line and b"Hi" not in line:
        line = response.readline()
    elapsed = (time.perf_counter() - begun) * 1000
    response.read()
    if response.status != 200 or not line:
        raise SystemExit(f"no stream: {response.status}")
    return elapsed


def first_event_anew(port: int, context: ssl.SSLContext) -> float:
    """Return the same through Nginx, on a connection of its own."""
    connection = Proxied(port, context)
    try:
        return first_event(connection)
    finally:
        connection.close()


# -- what is measured ------------------------------------------------------------------------------


def render(work: Path, port: int) -> None:
    """Write the configuration of Nginx and a certificate as the role ``certificate`` makes them."""
    for folder in ("conf.d", "snippets", "certificate", "modules-enabled"):
        (work / folder).mkdir()
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    known = {"work": str(work), "nginx_version": re.findall(r"nginx/([\d.]+)", said)[0]}
    paths = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_LOCALHOST_WARNING": "false"}
    known["ansible_python_interpreter"] = binary("python")
    command = [binary("ansible-playbook"), "-i", "localhost,", "-e", json.dumps(known)]
    quiet({**os.environ, **paths}, *command, str(HERE / "render.yml"))
    for path in (work / "conf.d").iterdir():
        text = path.read_text(encoding="utf-8").replace("/var/log/nginx", str(work))
        text = text.replace(f"/etc/modelops/certificates/{DOMAIN}", f"{work}/certificate")
        text = re.sub(r"listen 80\b", f"listen unix:{work}/plain.sock", text)
        text = re.sub(r"listen 127\.0\.0\.1:8081\b", f"listen unix:{work}/status.sock", text)
        path.write_text(re.sub(r"listen 443\b", f"listen 127.0.0.1:{port}", text), encoding="utf-8")
    user = "root" if os.geteuid() == 0 else "nobody"
    (work / "nginx.conf").write_text(NGINX.format(work=work, user=user), encoding="utf-8")
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}", "-days", "1"]
    files = ["-keyout", "certificate/privkey.pem", "-out", "certificate/fullchain.pem"]
    quiet({**os.environ}, "openssl", *request, *names, *files, cwd=work)


def binary(name: str) -> str:
    """Return the path of a program beside the Python that runs this."""
    return str(Path(sys.executable).parent / name)


def quiet(env: dict[str, str], *command: str, cwd: Path | None = None) -> None:
    """Run a command; show what it said only if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


@contextmanager
def running(
    *command: str, cores: set[int], log: Path, cwd: Path, env: dict[str, str] | None = None
) -> Iterator[None]:
    """Run a program on ``cores``, and end it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
    os.sched_setaffinity(process.pid, cores)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def write_settings(work: Path) -> dict[str, str]:
    """Write what the model server reads; return the variables that say where."""
    key = {"name": MODEL, "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    (work / "settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    (work / "secrets.json").write_text(json.dumps({"api_keys": [key]}), encoding="utf-8")
    server = ROOT / "files" / "model_server"
    return {
        "MODEL_SERVER_SETTINGS": str(work / "settings.json"),
        "CREDENTIALS_DIRECTORY": str(work),
        "PYTHONPATH": os.pathsep.join(map(str, (server, TESTS, TESTS / "live"))),
    }


def wait_until_ready(work: Path) -> None:
    """Wait until the model server computes."""
    for _attempt in range(300):
        connection = Direct(work / "http.sock")
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise SystemExit(f"not ready:\n{(work / 'gunicorn.log').read_text(encoding='utf-8')}")


def wait_for(connection: http.client.HTTPConnection, log: Path) -> None:
    """Wait until somebody answers."""
    for _attempt in range(100):
        try:
            return connection.connect()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"no answer:\n{log.read_text(encoding='utf-8')}")


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# -- rounds ----------------------------------------------------------------------------------------


def measure(rounds: int, work: Path, port: int) -> dict[tuple[str, str], list[float]]:
    """Return the milliseconds of every way on a kept and on a new connection."""
    context = ssl.create_default_context(cafile=str(work / "certificate" / "fullchain.pem"))
    make: dict[str, Callable[[], http.client.HTTPConnection]] = {
        "direct": lambda: Direct(work / "http.sock"),
        "nginx": lambda: Proxied(port, context),
    }
    kept = {way: new() for way, new in make.items()}
    wait_for(kept["nginx"], work / "nginx.log")
    turns = [(connection, way) for connection in ("kept", "new") for way in make]
    milliseconds: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
    deadline = time.monotonic() + SECONDS
    for round_ in range(WARM_UP + rounds):
        if time.monotonic() > deadline:
            break
        random.shuffle(turns)
        for turn in turns:
            connection = kept[turn[1]] if turn[0] == "kept" else make[turn[1]]()
            elapsed = first_event(connection)
            if turn[0] == "new":
                connection.close()
            if round_ >= WARM_UP:
                milliseconds[turn].append(elapsed)
    for connection in kept.values():
        connection.close()
    return milliseconds


def table(milliseconds: dict[tuple[str, str], list[float]]) -> str:
    """Return the results in Markdown."""
    rounds = len(milliseconds["new", "nginx"])
    lines = [
        f"Machine: {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, "
        f"Linux {platform.release()}, load average {os.getloadavg()[0]:.1f}; {rounds} rounds.",
        "",
        "| connection | direct, median ms | p95 | through Nginx, median ms | p95 "
        f"| added, median ms | below {TARGET_MS:.0f} ms |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for connection in ("kept", "new"):
        row, medians = f"| {connection} |", []
        for way in ("direct", "nginx"):
            values = milliseconds[connection, way]
            medians.append(statistics.median(values))
            row += f" {medians[-1]:.2f} | {statistics.quantiles(values, n=20)[-1]:.2f} |"
        added = medians[1] - medians[0]
        lines.append(f"{row} {added:.2f} | {'yes' if added < TARGET_MS else 'no'} |")
    return "\n".join(lines)


def main() -> None:
    """Set up both ways, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=300, help="turns of each way")
    rounds = parser.parse_args().rounds
    if not shutil.which("nginx"):
        raise SystemExit("nginx is missing: apt-get install --no-install-recommends nginx")
    cores = sorted(os.sched_getaffinity(0))
    served = set(cores[1:] or cores)
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as folder, ExitStack() as stack:
        work, port = Path(folder), free_port()
        render(work, port)
        serve = [os.environ["MODEL_SERVER_PYTHON"], "-m", "gunicorn", "fake_wsgi:app"]
        serve += ["--config", "python:model_server.gunicorn_conf"]
        serve += ["--bind", f"unix:{work}/http.sock"]
        log, env = work / "gunicorn.log", write_settings(work)
        stack.enter_context(running(*serve, cores=served, log=log, cwd=work, env=env))
        wait_until_ready(work)
        proxy = ["nginx", "-p", str(work), "-c", str(work / "nginx.conf")]
        stack.enter_context(running(*proxy, cores=served, log=work / "nginx.log", cwd=work))
        os.sched_setaffinity(0, {cores[0]})
        print(table(measure(rounds, work, port)))
        authority = work / "certificate" / "fullchain.pem"
        context = ssl.create_default_context(cafile=str(authority))
        ask = partial(first_event_anew, port, context)
        found = edge_pressed.measure(ask, DOMAIN, authority, port, PATH)
        print(f"\n{edge_pressed.table(found)}")


if __name__ == "__main__":
    main()
