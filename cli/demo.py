"""`lync-dr demo`: a lost data centre, recovered while you watch.

The driver is only people. It imports none of the rooms: it starts `lync-dr practice all`, acts through the
practice page as a person would, waits on what it reads there, and prints only text that came back. Server calls
come from the simulated servers' own log.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import requests

from cli.processes import die_with_parent
from cli.someone import NotSeen, Seen, Someone, label_of, walk

CHANNEL = "C0INC"
FE2 = "10.20.0.11"
NAMES = ("meet", "dialin", "admin", "lyncdiscover", "lyncdiscoverinternal")
"""What users' names must lead to in the end, and where: asked of the surviving DNS server's own page."""
SPOILS = ("approver", "sites", "dns", "record")
DURATIONS = "cms_failover=3,pool_failover=6,cms_dead=0.5,module_import=0.2"
"""Long enough to be watched."""
AT_ONCE = "zero"
"""For a spoiled story, which proves that the demo can fail and is watched by nobody."""


class Spoiled(Exception):
    """The story did not end as it should; the sentence names what was in the way."""


class Narrator:
    """Prints what the people see, as it changes, with the clock."""

    def __init__(self, page_url: str) -> None:
        self._eyes = [
            (Someone(page_url, "URITA", "Rita Berg"), lambda s: s.channel == CHANNEL),
            (Someone(page_url, "UOLAF", "Olaf Out"), lambda s: s.channel == CHANNEL and s.message["ephemeral"]),
            (Someone(page_url, "UBO", "Bo Lund"), lambda s: s.room == "direct message" or s.message["ephemeral"]),
        ]
        self._shown: dict[tuple[str, str, str], list[str]] = {}
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        """One looks at a time, so that nothing is printed twice, and nothing older after something newer."""
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(who, keep), daemon=True) for who, keep in self._eyes
        ]

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look once more, then stop."""
        self._over.set()
        for thread in self._threads:
            thread.join(3)

    def stage(self, text: str) -> None:
        """A stage direction: what a person does, in brackets; after all that was on the screens before."""
        self.look()
        with self._lock:
            click.secho(f"\n[{text}]", fg="cyan")

    def say(self, text: str) -> None:
        """A line of the driver's own, outside the story."""
        with self._lock:
            click.echo(text)

    def look(self) -> None:
        """Print what is new on every screen."""
        for who, keep in self._eyes:
            self._look(who, keep)

    def _watch(self, who: Someone, keep: Callable[[Seen], bool]) -> None:
        while True:
            over = self._over.is_set()
            self._look(who, keep)
            if over:
                return
            self._over.wait(0.25)

    def _look(self, who: Someone, keep: Callable[[Seen], bool]) -> None:
        with contextlib.suppress(NotSeen, requests.RequestException, ValueError), self._looking:
            for seen in walk(who.screen()):
                if keep(seen):
                    self._print(who, seen)

    def _print(self, who: Someone, seen: Seen) -> None:
        private = seen.room == "direct message" or seen.message["ephemeral"]
        key = (seen.channel, seen.ts, who.user if private else "")
        now = list(seen.message["lines"])
        before = self._shown.get(key)
        if now == before:
            return
        self._shown[key] = now
        if before is None:
            where = f"{seen.room} · only {who.name} sees this" if private else f"#{seen.room}"
            head, lines = f"{where} · {seen.message['user']['name']}", now
        else:
            lines = [line for line in now if line not in before]
            head = f"{'' if private else '#'}{seen.room} · edited"
            if not lines:
                return
        with self._lock:
            clock = datetime.now(UTC).strftime("%H:%M:%S")
            click.secho(f"\n{clock}  {head}", bold=True)
            bar = "┃" if "#D92D20" in (seen.message["colours"] or ()) else "│"
            for line in lines:
                click.echo(f"          {bar} {line}")


class Play:
    """The story, act by act."""

    def __init__(self, place: dict[str, Any], out: Path, spoil: str) -> None:
        self.place, self.out, self.spoil = place, out, spoil
        page = place["page_url"]
        self.page = page.rstrip("/")
        self.rita = Someone(page, "URITA", "Rita Berg")
        self.bo = Someone(page, "UBO", "Bo Lund")
        self.chen = Someone(page, "UCHEN", "Chen Wu")
        self.olaf = Someone(page, "UOLAF", "Olaf Out")
        self.seen = Narrator(page)
        self.red: list[str] = []
        self.incident = ""

    # --- the trainer's hand ----------------------------------------------------------------------------------

    def control(self, host: str, what: str, **order: Any) -> Any:
        """Give an order to one simulated process, or read from it."""
        url = f"{self.place['controls'][host]}/{what}"
        answer = requests.post(url, json=order, timeout=10) if order else requests.get(url, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def admin(self, what: str, **order: Any) -> None:
        """Change the practice workspace, as its administrator."""
        requests.post(f"{self.page}/admin/{what}", json=order, timeout=10).raise_for_status()

    def calls(self) -> list[dict[str, Any]]:
        """Every state-changing call as the servers saw it, in order."""
        hosts = list(self.place["controls"])
        found = [
            {"host": entry["host"], "at": entry["at"], "call": entry["literal"], "outcome": entry["outcome"]}
            for host in hosts
            for entry in self.control(host, "log")
            if entry["changing"]
        ]
        return sorted(found, key=lambda entry: entry["at"])

    # --- the acts --------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """All of it. Raises Spoiled or NotSeen naming what was in the way."""
        self.lose_london()
        card = self.declare()
        self.try_to_approve_alone(card)
        self.approve()
        self.carry_out()
        self.ask_the_dns()
        return self.prove()

    def lose_london(self) -> None:
        self.seen.stage("London loses its power: fe1 and dns1 fall silent")
        self.control("london", "plug", up=False)
        if self.spoil == "sites":
            self.seen.stage("spoiled: Leeds falls silent too")
            self.control("leeds", "plug", up=False)
        if self.spoil == "dns":
            self.seen.stage("spoiled: dns2 answers no questions")
            self.control("dns2", "fault", kind="dns_silent")
        self.control("leeds", "fault", kind="red", cmdlet="Invoke-CsPoolFailOver", when="begin")

    def declare(self) -> Seen:
        since = (datetime.now(UTC) - timedelta(minutes=4)).strftime("%H:%M")
        self.seen.stage(f"Rita Berg types: /lync declare-disaster fe1 since {since} dc1 power")
        self.rita.type(CHANNEL, f"/lync declare-disaster fe1 since {since} dc1 power")
        self.rita.find("DISASTER DECLARED", "fe1", channel=CHANNEL)
        nothing = "No approval was asked for, so nothing ran. The channel says:"
        if self.spoil == "sites":
            raise Spoiled(f"sites: {nothing}\n{self.rita.find('STOP', channel=CHANNEL, limit_s=40).text}")
        try:
            return self.rita.find("APPROVE?", channel=CHANNEL, button="Approve", limit_s=40)
        except NotSeen as not_seen:
            stopped = [s for s in walk(self.rita.screen(CHANNEL)) if "STOP" in s.text]
            raise Spoiled(f"{nothing}\n{stopped[-1].text if stopped else not_seen}") from None

    def try_to_approve_alone(self, card: Seen) -> None:
        self.seen.stage("Rita Berg presses Approve on her own request")
        self.rita.press(card, label_of(card, "Approve"))
        self.rita.find("another person must approve", ephemeral=True, since=card.ts)
        self.seen.stage("Olaf Out, who is in the channel but in no policy, presses Approve")
        self.olaf.press(card, label_of(card, "Approve"))
        self.olaf.find("not an approver", ephemeral=True, since=card.ts)

    def approve(self) -> None:
        if self.spoil == "approver":
            self.seen.stage("spoiled: Bo Lund's account has become a guest account")
            self.admin("user", id="UBO", is_restricted=True)
        card = self.bo.find("APPROVE?", dm=True, button="Approve")
        self.seen.stage("Bo Lund, woken by the direct message, presses Approve there and confirms")
        asked = self.bo.press(card, label_of(card, "Approve"))
        confirm = asked.get("confirm") or {}
        for part in (confirm.get("title"), confirm.get("text")):
            if part:
                self.seen.say(textwrap.indent(str(part), "          ? "))
        told = self.bo.find(ephemeral=True, since=card.ts).text
        if "Your approval counted" not in told:
            raise Spoiled(f"approver: Bo Lund's approval was refused. He was told:\n{told}")
        self.rita.find("APPROVED", "Bo Lund", channel=CHANNEL)

    def carry_out(self) -> None:
        red = self.rita.find("FAILED", channel=CHANNEL, button="Run again", limit_s=60)
        self.red.append(red.text)
        self.seen.stage("Chen Wu, who may operate, reads the red text and presses Run again")
        self.chen.press(red, label_of(red, "Run again"))
        # Its button tells the summary from other messages, which say how it ended a moment before.
        done = self.rita.find(channel=CHANNEL, button="Stakeholder text", limit_s=80)
        if "RECOVERED" not in done.text.split("\n", 1)[0]:
            raise Spoiled(f"The run ended otherwise:\n{done.text}")

    def ask_the_dns(self) -> None:
        """Read what the surviving DNS server serves now, over its own page."""
        records = self.control("dns2", "state")["records"]
        values = {name: ", ".join(records[name]["A"]) for name in NAMES}
        self.seen.look()
        self.seen.say("\nNames on dns2 now: " + " · ".join(f"{n} → {v}" for n, v in values.items()))
        if behind := [name for name, value in values.items() if value != FE2]:
            summary = self.rita.find(channel=CHANNEL, button="Stakeholder text").text
            debt = [line for line in summary.splitlines() if "dns2" in line]
            raise Spoiled(
                f"dns: {', '.join(behind)} on dns2 do not lead to fe2 ({FE2}). The summary says: "
                f"{debt[0] if debt else 'nothing about it'}"
            )

    def prove(self) -> dict[str, Any]:
        listed = self.lync_dr("audit", "list", "--json")
        self.incident = json.loads(listed.stdout)["incidents"][-1]["incident"]
        name = self.incident + (f"-spoiled-{self.spoil}" if self.spoil else "")
        record, page, keys = self.out / f"{name}.jsonl", self.out / f"{name}.html", self.out / f"{name}.keys"
        shutil.rmtree(keys, ignore_errors=True)
        shutil.copytree(self.place["keys"], keys)
        self.lync_dr("audit", "export", self.incident, "--jsonl", str(record), "--html", str(page))
        if self.spoil == "record":
            self.seen.stage("spoiled: one byte of the exported record is changed")
            raw = bytearray(record.read_bytes())
            place = len(raw) // 3
            raw[place] = raw[place] ^ 1
            record.write_bytes(bytes(raw))
        self.seen.look()
        verdict = self.lync_dr("audit", "verify", str(record), "--keys", str(keys), check=False)
        typed = f"lync-dr audit verify {os.path.relpath(record)} --keys {os.path.relpath(keys)}"
        self.seen.say(f"\n$ {typed}\n{textwrap.indent(verdict.stdout, '  ')}")
        if verdict.returncode:
            raise Spoiled(f"record: the exported record does not verify (exit code {verdict.returncode}).")
        shown = json.loads(self.lync_dr("audit", "show", self.incident, "--json").stdout)
        return {
            "incident": self.incident,
            "digest": shown["requests"][-1]["digest"],
            "calls": self.calls(),
            "approvals": shown["requests"],
            "refusals": shown["refusals"],
            "red_text": self.red,
            "clocks": shown["clocks"],
            "verdict": verdict.stdout.strip().splitlines()[0],
            "jsonl": str(record),
            "html": str(page),
            "keys": str(keys),
        }

    def lync_dr(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command as an operator on this host would."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *argv],
            env={**os.environ, **self.place["env"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            raise Spoiled(f"`lync-dr {' '.join(argv)}` failed: {(done.stderr or done.stdout).strip()}")
        return done


@contextmanager
def _stage(out: Path, durations: str) -> Iterator[dict[str, Any]]:
    """`lync-dr practice all` as a process of its own; gone afterwards, whatever happened."""
    log = (out / "practice.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "practice", "all", "--out", str(out), "--durations", durations],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    log.close()
    try:
        place, ends = out / "practice.json", time.monotonic() + 60
        while not place.exists():
            if process.poll() is not None or time.monotonic() > ends:
                words = (out / "practice.log").read_text("utf-8", errors="replace").strip()
                raise Spoiled(f"The rehearsal did not start. {words}")
            threading.Event().wait(0.05)
        yield json.loads(place.read_text("utf-8"))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(25)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ended(result: dict[str, Any], seconds: float) -> None:
    click.secho("\nWhat the servers saw, in order:", bold=True)
    for call in result["calls"]:
        click.echo(f"  {call['host']:<20} {call['call']}")
    click.secho(f"\nRecovered and verified in {seconds:.0f} s.", fg="green", bold=True)
    click.echo(f"Record: {result['jsonl']}\nReport: {result['html']}")


def _interrupted(*_: object) -> None:
    """The first interruption ends the story; none may end the clearing up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@click.command(help="Watch a lost data centre being recovered, on this machine only.")
@click.option("--spoil", type=click.Choice(SPOILS), help="Break one thing; the demo must then fail and name it.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write what happened as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to keep the record; default: ./demo-out.")
def demo(spoil: str | None, json_file: Path | None, out: Path | None) -> None:
    """Run the story once. Exit code 0 only if everything happened as it should."""
    began = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    kept = (out or Path("demo-out")).resolve()
    kept.mkdir(parents=True, exist_ok=True)
    if json_file is not None:
        json_file.unlink(missing_ok=True)  # what an earlier run wrote is not the story of this one
    stage = Path(tempfile.mkdtemp(prefix="lync-dr-"))
    code = 1
    try:
        click.echo("Starting store, practice Slack, two sites, DNS, bot and workers …")
        with _stage(stage, AT_ONCE if spoil else DURATIONS) as place:
            play = Play(place, kept, spoil or "")
            play.seen.start()
            try:
                result = play.run()
            finally:
                play.seen.stop()
        if json_file is not None:
            json_file.write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")
        _ended(result, time.monotonic() - began)
        code = 0
    except (Spoiled, NotSeen) as trouble:
        click.secho(f"\nThe demo did not succeed. {trouble}", err=True, fg="red")
        _keep_logs(stage, kept)
    except KeyboardInterrupt:
        click.echo("\nInterrupted; everything that was started has been stopped.", err=True)
        code = 130
    except requests.RequestException as trouble:
        click.secho(f"\nThe demo did not succeed: a part of the rehearsal stopped answering ({trouble}).", err=True)
        _keep_logs(stage, kept)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    raise SystemExit(code)


def _keep_logs(stage: Path, kept: Path) -> None:
    logs = kept / "log"
    with contextlib.suppress(OSError):
        shutil.copytree(stage / "log", logs, dirs_exist_ok=True)
        click.echo(f"Logs: {logs}", err=True)
