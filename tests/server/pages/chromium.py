# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A real Chromium without a window, driven over the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from simple_websocket import Client

_WAIT_SECONDS = 20
_POLL_SECONDS = 0.05


class Chromium:
    """One browser with one page. `problems` are its console errors and refused resources."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            pytest.fail("chromium is not installed: apt-get install -y chromium")
        self.problems: list[str] = []
        self._folder = folder
        self._numbers = itertools.count(1)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                    *("--disable-dev-shm-usage", "--disable-background-networking"),
                    *("--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}"),
                    *("--lang=en-US", "--hide-scrollbars", "about:blank"),
                ],
                stdout=log,
                stderr=log,
            )
        try:
            self._socket = Client(self._address())
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(timeout=30)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come before it are read."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            text = self._socket.receive(timeout=_WAIT_SECONDS)
            assert text is not None, f"{method} was not answered"
            message = json.loads(text)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._note(message)

    def evaluate(self, script: str) -> Any:
        """Run JavaScript in the page and return its value."""
        result = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < end:
            if value := self.evaluate(script):
                return value
            time.sleep(_POLL_SECONDS)
        shown = self.evaluate("document.body.innerText")
        return pytest.fail(f"never true: {script}\n{self.problems}\nthe page shows:\n{shown}")

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank'")
        self.problems.clear()
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element that is seen and enabled."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"{element} !== null && !{element}.disabled")
        x, y = self.evaluate(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2];"
            "})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field by typing."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        field = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{field}.focus(); {field}.select()")
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, code: int, control: bool = False) -> None:
        """Press a key; `code` is its Windows virtual key code."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text="\r" if key == "Enter" and kind == "keyDown" else "",
                modifiers=2 if control else 0,
            )

    def look(self, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Set the size of the window, and whether the system is dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, file: Path) -> None:
        """Save what the window shows as PNG."""
        answer = self.call("Page.captureScreenshot")
        file.write_bytes(base64.b64decode(answer["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url')}")

    def _address(self) -> str:
        """Address of the page's socket, once the browser has told its port."""
        file = self._folder / "profile" / "DevToolsActivePort"
        end = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if file.exists() and (lines := file.read_text().splitlines()):
                connection = http.client.HTTPConnection("127.0.0.1", int(lines[0]), timeout=10)
                connection.request("GET", "/json/list")
                for target in json.loads(connection.getresponse().read()):
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
            time.sleep(_POLL_SECONDS)
        return pytest.fail(f"chromium did not start:\n{(self._folder / 'log').read_text()}")
