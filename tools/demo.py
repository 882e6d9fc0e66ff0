# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo: a container becomes a host, serves a real model, and is called over HTTPS.

Usage: python3 -m tools.demo up|clean
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import collection, engine, image, machine, venv
from .client import Service, cosine, embed
from .hosts import Host, remove, start
from .paths import COLLECTIONS, DEMO, ROOT, VENVS, binary
from .play import play
from .report import Failure, main, say, show, step

CONTAINER = "modelops-demo"
SERVICE, DOMAIN, MODEL = "minilm", "minilm.example.test", "all-MiniLM-L6-v2"
CA_ON_HOST = f"/etc/modelops/certificates/{DOMAIN}/ca.pem"
ENVIRONMENT = DEMO / "env"
SENTENCES = (
    "A man is playing the guitar on stage.",
    "A musician performs for the audience.",
    "The invoice is due at the end of the month.",
)


def up() -> None:
    """Deploy the quickstart service and call it."""
    begun = time.monotonic()
    venv.ensure("demo")
    engine.start()
    host_image = image.ensure("bookworm")
    with step(f"Start the host {CONTAINER}"):
        address = _start_host(host_image)
    key = _remembered().get("API_KEY") or secrets.token_urlsafe(32)
    _remember({"URL": f"https://{DOMAIN}", "API_KEY": key, "HOST_ADDRESS": address})
    say("Run playbooks/site.yml with inventories/quickstart")
    begun_play = time.monotonic()
    changed = _deploy(key)
    say(f"  ✓ the playbook changed {changed} tasks ({time.monotonic() - begun_play:.1f} s)")
    engine.docker("cp", f"{CONTAINER}:{CA_ON_HOST}", str(DEMO / "ca.pem"))
    _call(Service(DOMAIN, address, (DEMO / "ca.pem").relative_to(ROOT), key))
    show(f"\nReady after {time.monotonic() - begun:.0f} s. 'make demo-clean' removes it all.")


def clean() -> None:
    """Remove all that the demo made, and stop the engine if it was started for it."""
    if engine.answers():
        remove([CONTAINER])
        image.remove_all()
    engine.stop()
    for folder in (DEMO, VENVS / "demo", COLLECTIONS.parent):
        shutil.rmtree(folder, ignore_errors=True)
    say("the demo is gone")


def _start_host(host_image: str) -> str:
    """Have the container up and booted; return its address."""
    state = ["docker", "container", "inspect", "--format={{.State.Status}}", CONTAINER]
    found = subprocess.run(state, capture_output=True, text=True, check=False).stdout.strip()
    if not found:
        start(Host(CONTAINER, host_image, hostname="quickstart"))
    elif found != "running":
        engine.docker("start", CONTAINER)
        engine.wait_for_boot(CONTAINER)
    addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return engine.docker("container", "inspect", f"--format={addresses}", CONTAINER).split()[0]


def _deploy(key: str) -> int:
    known = machine.variables()
    known["model_service_secrets"] = {SERVICE: {"api_keys": {"demo": key}}}
    variables = DEMO / "variables.json"
    _write_private(variables, json.dumps(known, indent=2))
    command = [binary("demo", "ansible-playbook"), "playbooks/site.yml"]
    command += ["-i", "inventories/common", "-i", "inventories/quickstart"]
    command += ["--extra-vars", f"@{variables}"]
    environment = {
        "PATH": f"{binary('demo', '')}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
    }
    return play(command, env=environment, log=DEMO / "ansible.log")


def _call(service: Service) -> None:
    """Send the sentences, show what came back, and how to send them again."""
    body = json.dumps({"model": MODEL, "input": list(SENTENCES)})
    vectors, seconds = embed(service, body)
    if len(vectors) != len(SENTENCES):
        raise Failure(f"{service.url} answered {len(vectors)} vectors for {len(SENTENCES)} texts")
    first = ", ".join(f"{number:.4f}" for number in vectors[0][:4])
    show(f"\nPOST {service.url}  200 in {seconds * 1000:.0f} ms, certificate verified")
    show(f"  {len(vectors)} vectors of {len(vectors[0])} numbers: [{first}, ...]")
    for index in (1, 2):
        score = cosine(vectors[0], vectors[index])
        show(f"  {score:6.3f}  '{SENTENCES[0]}' and '{SENTENCES[index]}'")
    show(f"\nRepeat it:\n{service.curl(body)}")


def _remembered() -> dict[str, str]:
    """Return what an earlier run left in .demo/env."""
    if not ENVIRONMENT.exists():
        return {}
    lines = ENVIRONMENT.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _remember(values: dict[str, str]) -> None:
    _write_private(ENVIRONMENT, "".join(f"{name}={value}\n" for name, value in values.items()))


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")


def _command_line() -> int | None:
    verbs = {"up": up, "clean": clean}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        raise Failure((__doc__ or "").strip())
    verbs[sys.argv[1]]()
    return None


if __name__ == "__main__":
    main(_command_line)
