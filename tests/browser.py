"""A headless Chromium by its DevTools protocol: keys, scripts, what was logged and what was asked for."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE_S = 90.0


@dataclass
class Browser:
    """One page; `errors` of its console, and the `addresses` that it asked for."""

    socket: ClientConnection
    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    _number: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; note the events that come meanwhile."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(PATIENCE_S))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def open(self, address: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=address)

    def read(self, script: str) -> Any:
        """Return the value of an expression on the page; of a promise, what it is kept with."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression on the page is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.read(script):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{script} is not so; the console has {self.errors}")
            time.sleep(0.03)

    def prefer(self, colours: Literal["light", "dark"]) -> None:
        """Show pages as to a reader who prefers light or dark colours."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": colours}])

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32, ".": 190, "-": 189}
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            code = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def require_quiet(self, *addresses: str) -> None:
        """Require that the console has no error, and that nothing was asked of other hosts than these addresses'."""
        assert not self.errors, self.errors
        asked = {urlsplit(each).netloc for each in self.addresses if not each.startswith("data:")}
        foreign = asked - {urlsplit(each).netloc for each in addresses}
        assert not foreign, foreign

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message["method"], message["params"]
        if method == "Network.requestWillBeSent":
            self.addresses.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.errors.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.errors.append(str(parameters["args"]))


@contextmanager
def headless(folder: Path) -> Iterator[Browser]:
    """Run a browser whose profile is `folder`, with one empty page of 1280 x 800 px."""
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command += [f"--user-data-dir={folder}", "--no-first-run", "--window-size=1280,800", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline, told = time.monotonic() + PATIENCE_S, folder / "DevToolsActivePort"
            while not told.exists() or not told.read_text():
                assert process.poll() is None, "the browser ended"
                assert time.monotonic() < deadline, "the browser did not start"
                time.sleep(0.05)
            port = told.read_text().split()[0]
            pages = httpx.get(f"http://127.0.0.1:{port}/json", timeout=PATIENCE_S).json()
            page = next(each for each in pages if each["type"] == "page")
            with connect(page["webSocketDebuggerUrl"], max_size=None, open_timeout=PATIENCE_S) as socket:
                browser = Browser(socket)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    browser.call(f"{domain}.enable")
                yield browser
        finally:
            process.kill()
