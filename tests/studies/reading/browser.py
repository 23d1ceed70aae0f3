"""A headless Chromium that tests steer by its own protocol, over tornado's websockets.

No driver and no browser of its own is fetched: whichever Chromium or Chrome the machine has.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")

#: Seconds in which a page does what is waited for, however busy the machine is.
_PATIENCE = 120.0


def chromium() -> str | None:
    """The program, which `HISTODIFF_CHROMIUM` may name; None where there is none."""
    named = os.environ.get("HISTODIFF_CHROMIUM")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


class Page:
    """One page of a running browser."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: WebSocketClientConnection) -> None:
        self._loop, self._socket, self._sent = loop, socket, 0

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol and return what came of it."""
        self._sent += 1
        message = json.dumps({"id": self._sent, "method": method, "params": params})
        return self._loop.run_until_complete(self._ask(message, self._sent))

    async def _ask(self, message: str, number: int) -> dict[str, Any]:
        await self._socket.write_message(message)
        while True:
            reply = json.loads(await asyncio.wait_for(self._socket.read_message(), _PATIENCE))
            if reply.get("id") == number:
                assert "error" not in reply, reply["error"]
                return reply["result"]

    def eval(self, script: str) -> Any:
        """Return the value of an expression on the page."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true on the page."""
        end = time.monotonic() + _PATIENCE
        while not self.eval(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never came: {condition}\n{self.text}"
            self.eval("new Promise(done => setTimeout(done, 20))")

    @property
    def text(self) -> str:
        """What one reads on the page."""
        return str(self.eval("document.body ? document.body.innerText : ''"))

    def open(self, address: str) -> None:
        """Go to an address, also to the one that is open."""
        self.eval("window.left = true")
        self.send("Page.navigate", url=address)
        self.wait("!window.left && document.readyState === 'complete'")

    def press(self, key: str) -> None:
        """Press and release a key, as named by `KeyboardEvent.key`."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        given = {"key": key, "text": text} if text else {"key": key}
        code = {"Enter": 13, "Tab": 9}.get(key)
        if code is not None:
            given["windowsVirtualKeyCode"] = code
        self.send("Input.dispatchKeyEvent", type="keyDown", **given)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        for letter in text:
            self.press(letter)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Show the page on a screen of so many pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def offline(self, gone: bool) -> None:
        """Cut the page off from every server, or connect it again."""
        self.send("Network.enable")
        limits = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.send("Network.emulateNetworkConditions", offline=gone, **limits)

    def screenshot(self, path: Path) -> None:
        """Write what is seen into a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def browser(program: str) -> Iterator[Page]:
    """Start a browser with an empty profile; it ends with the block."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="histodiff-", ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-dev-shm-usage", "--remote-debugging-port=0"]
        command += ["--remote-allow-origins=*", f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield loop.run_until_complete(_connect(loop, process, Path(profile)))
        finally:
            process.kill()
            process.wait()
            loop.run_until_complete(asyncio.sleep(0))  # its sockets end
            loop.close()


async def _connect(
    loop: asyncio.AbstractEventLoop, process: subprocess.Popen[bytes], profile: Path
) -> Page:
    told, end = profile / "DevToolsActivePort", time.monotonic() + _PATIENCE
    while not (told.is_file() and len(told.read_text().split()) == 2):
        assert process.poll() is None, "the browser ended at once"
        assert time.monotonic() < end, "the browser never listened"
        await asyncio.sleep(0.05)
    port, path = told.read_text().split()
    hub = await websocket_connect(f"ws://127.0.0.1:{port}{path}")
    await hub.write_message(json.dumps({"id": 1, "method": "Target.getTargets"}))
    found = json.loads(await hub.read_message())["result"]["targetInfos"]
    hub.close()
    page = next(target["targetId"] for target in found if target["type"] == "page")
    address = f"ws://127.0.0.1:{port}/devtools/page/{page}"
    return Page(loop, await websocket_connect(address, max_message_size=2**27))
