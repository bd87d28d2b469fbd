"""A real browser, driven as by a person: headless Chromium, spoken to over two pipes (its DevTools protocol).

No driver, no port and no package: one message is one JSON value that ends with a zero byte. Clicks and keys are those
of the browser itself, which it takes for a user's, and what is on the screen is a screenshot.
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip
_TIMEOUT_S = 60  # for one answer, on a machine that is busy
_CODES = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38, "Escape": 27, "Tab": 9, "Enter": 13,
          "Home": 36, "End": 35, " ": 32}  # fmt: skip


def chromium() -> str | None:
    """Where the browser is, if it is here."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One browser with one page. `log` has what the page told the console, and every request but those of data."""

    def __init__(self, *, width: int = 1600, height: int = 1000) -> None:
        binary = chromium()
        assert binary
        self._home = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        into_place = f'exec "$@" 3<&{reads} 4>&{writes}'  # where Chromium looks for them; sh knows one digit alone
        self._process = subprocess.Popen(
            ["bash", "-c", into_place, "bash", binary, *FLAGS, f"--user-data-dir={self._home.name}"],
            pass_fds=(reads, writes), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._home.name, "LANG": "C.UTF-8"},
        )  # fmt: skip
        os.close(reads)
        os.close(writes)
        self._buffer, self._number, self._session = b"", 0, ""
        self.log: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.look(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._home.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            read = os.read(self._from, 1 << 20) if ready else b""
            if not read:
                raise TimeoutError(f"expected an answer of Chromium, found {'none' if ready else 'silence'}")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        method, values = event.get("method", ""), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            self.log.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded":
            self.log.append(values["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.log.append(" ".join(str(each.get("value")) for each in values["args"]))
        elif method == "Network.requestWillBeSent" and not values["request"]["url"].startswith(("data:", "about:")):
            self.log.append(f"request: {values['request']['url']}")

    # ------------------------------------------------------------------------------------------------ what is shown

    def look(self, width: int, height: int, *, dark: bool = False, motion: bool = True, density: float = 1) -> None:
        """The size of the window in CSS pixels, and what its user prefers."""
        mobile = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=density, mobile=mobile
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"},
        ]
        self.send("Emulation.setEmulatedMedia", features=features)

    def open(self, path: Path) -> None:
        """Open a file, and wait until its first image is there."""
        self.log.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.body?.dataset.ready !== undefined")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not self.ask(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected {expression}, found {self.log}")
            self.ask("new Promise(requestAnimationFrame)")

    def text(self, selector: str) -> str:
        """What is read in the first element that a selector finds; nothing of what is hidden."""
        found: str = self.ask(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in CSS pixels of the window."""
        script = f"(({{x, y, width, height}}) => [x, y, width, height])(document.querySelector({json.dumps(selector)})"
        left, top, width, height = self.ask(f"{script}.getBoundingClientRect())")
        return left, top, width, height

    def screenshot(self, clip: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
        """The window, or a part of it given by left, top, width and height: uint8 (height, width, 3), RGB."""
        self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        part = {"clip": dict(zip(("x", "y", "width", "height", "scale"), (*clip, 1), strict=True))} if clip else {}
        data = base64.b64decode(self.send("Page.captureScreenshot", format="png", **part)["data"])
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of what a screen reader meets, in its order."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    # ------------------------------------------------------------------------------------------- what a person does

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector: str) -> None:
        """Scroll to an element and click into its middle."""
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'nearest'}})")
        left, top, width, height = self.box(selector)
        self.click(left + width / 2, top + height / 2)

    def press(self, *keys: str) -> None:
        """Press keys, one after another: by their names in `KeyboardEvent.key`."""
        for key in keys:
            code = _CODES.get(key) or ord(key.upper())
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            common = {"key": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.send("Input.insertText", text=text)
