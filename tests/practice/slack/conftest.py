"""One practice workspace as a real process, a Bolt app beside it, and small hands to act as people."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from tests.waiting import wait_for


class Workspace:
    """The process under test, as its people and its administrator reach it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.ready_file = folder / "ready.json"
        command = [
            sys.executable,
            "-m",
            "practice.slack",
            "--state",
            str(folder),
            "--ready",
            str(self.ready_file),
        ]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        wait_for(lambda: self.ready_file.exists() or self.process.poll() is not None, "the ready file")
        self.ready: dict[str, str] = json.loads(self.ready_file.read_text())

    def call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the page's HTTP interface; a refusal is returned with its status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ready["page_url"].rstrip("/") + path, data=data)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as no:
            return {"status": no.code, **json.load(no)}

    def read(self, path: str) -> bytes:
        """Fetch a file as the person's browser would."""
        with urllib.request.urlopen(self.ready["page_url"].rstrip("/") + path, timeout=20) as answer:
            return bytes(answer.read())

    def person(self, user: str, act: str, **body: Any) -> dict[str, Any]:
        return self.call(f"/person/{user}/{act}", body)

    def screen(self, user: str, channel: str = "") -> dict[str, Any]:
        return self.call(f"/person/{user}/screen?channel={channel}")

    def messages(self, user: str, channel: str = "C0INC") -> list[dict[str, Any]]:
        return self.screen(user, channel)["channels"][0]["messages"]

    def log(self, kind: str, after: int = 0) -> list[dict[str, Any]]:
        return self.call(f"/admin/log?after={after}&kind={kind}")["entries"]

    def client(self, token: str = "") -> WebClient:
        return WebClient(token=token or self.ready["bot_token"], base_url=self.ready["api_url"], timeout=10)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="package")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with Slack's rules, quick retries and a short patience for acknowledgements."""
    folder = tmp_path_factory.mktemp("slack")
    started = Workspace(folder, "--ack-seconds", "0.6", "--retries", "0,0.1,0.1", "--rates", "off")
    yield started
    started.stop()


@pytest.fixture(scope="package")
def bolt(space: Workspace) -> Iterator[App]:
    """A real Bolt app, connected over Socket Mode; tests add listeners of their own names to it."""
    app = App(client=space.client())
    handler = SocketModeHandler(app, space.ready["app_token"])
    handler.connect()
    wait_for(lambda: space.screen("URITA")["app_connected"], "the app to connect")
    yield app
    handler.close()
