"""The embedded store as a process: it keeps everything, is alone on its directory, and dies with its launcher."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.store import Launcher, StoreTrouble, socket_path
from tests.waiting import wait_for

RUN = [sys.executable, "-c", "from cli.store import store_command; store_command()"]


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Short: a socket's path has few bytes."""
    path = Path(tempfile.mkdtemp(prefix="ld-"))
    yield path
    shutil.rmtree(path)


def start(state_dir: Path) -> subprocess.Popen[str]:
    env = os.environ | {"LYNC_DR_STATE": str(state_dir)}
    return subprocess.Popen(RUN, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said_ready(process: subprocess.Popen[str]) -> None:
    """Reads until the launcher has said that its server answers; the end of its words fails the test."""
    assert process.stdout is not None
    assert any(line.startswith("store: ready") for line in process.stdout)


def answers(state_dir: Path) -> bool:
    with redis.Redis.from_url(f"unix://{state_dir}/store.sock") as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_it_keeps_everything_is_alone_and_stops_when_asked(state_dir: Path) -> None:
    first = start(state_dir)
    try:
        wait_for(lambda: answers(state_dir), "the store to answer")
        with redis.Redis.from_url(f"unix://{state_dir}/store.sock", decode_responses=True) as client:
            client.set("kept", "yes")
            for name, wanted in (("appendfsync", "always"), ("maxmemory-policy", "noeviction"), ("port", "0")):
                assert client.config_get(name) == {name: wanted}
        assert (state_dir / "store.sock").stat().st_mode & 0o077 == 0
        second = start(state_dir)
        assert "A store already runs on" in second.communicate(timeout=20)[1]
        assert second.returncode == 1
    finally:
        first.terminate()
        out, err = first.communicate(timeout=20)
    assert first.returncode == 0
    assert f"store: ready at unix://{state_dir}/store.sock" in out
    assert "Traceback" not in err
    again = Launcher(state_dir)
    again.start()
    try:
        with redis.Redis.from_url(again.url) as client:
            assert client.get("kept") == b"yes"
    finally:
        assert again.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="dying with the parent is asked of Linux")
def test_it_dies_with_its_launcher(state_dir: Path) -> None:
    launcher = start(state_dir)
    wait_for(lambda: answers(state_dir), "the store to answer")
    with redis.Redis.from_url(f"unix://{state_dir}/store.sock", decode_responses=True) as client:
        server = int(client.info("server")["process_id"])  # type: ignore[index, arg-type]
    launcher.kill()
    launcher.communicate(timeout=10)
    wait_for(lambda: gone(server), "the server to follow its launcher")


def test_a_server_that_outlived_its_launcher_is_found_again(state_dir: Path) -> None:
    first = Launcher(state_dir)
    first.start()
    assert first._lock is not None
    first._lock.close()  # what the death of the launcher does to its lock
    second = Launcher(state_dir)
    second.start()
    assert second.adopted
    second.stop()
    wait_for(lambda: not first.running(), "the adopted server to stop")
    first.stop()


def test_a_path_too_long_for_a_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreTrouble, match="too long for a socket"):
        socket_path(tmp_path / ("x" * 100))


def test_a_server_that_ends_by_itself_is_said(state_dir: Path) -> None:
    process = start(state_dir)
    said_ready(process)  # a server that dies before its launcher has seen it answer is another case
    with redis.Redis.from_url(f"unix://{state_dir}/store.sock", decode_responses=True) as client:
        os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)  # type: ignore[index, arg-type]
    assert "ended by itself; its data is kept" in process.communicate(timeout=20)[0]
    assert process.returncode == 1
