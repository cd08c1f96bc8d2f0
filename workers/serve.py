"""`lync-dr worker look|act`: one RQ worker process that hears exactly one bell.

RQ only rings and forks here. Facts about it come from the source of rq 3.0.0: a worker on one queue moves a job
over an intermediate list and loses none, one on several queues can (`Queue.dequeue_any`); a fork whose parent is
killed runs on; the heartbeat's time is fixed at a minute more than needed (`BaseWorker.get_heartbeat_ttl`); a
client without an explicit retry makes the parent end at the first lost connection.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from rq import Queue, Worker
from rq.job import Job

from config.endpoints import Endpoints
from config.load import ConfigError, Configuration, load_all, load_settings
from config.settings import Settings
from incident.desk import Desk
from incident.doorbell import ADVANCE, LOOK_NOW, REPLICAS, SAMPLE, SURVEY, RqDoorbell, connect_rq
from incident.journal import REGISTER
from incident.journals.opening import open_journal
from incident.keys import load_keys, load_writer
from incident.policy import Rules
from incident.record import Record
from incident.register import Register
from workers import jobs
from workers.guard import GuardedJob
from workers.jobs import Workbench, equip
from workers.looking import Looker
from workers.output import Blobs
from workers.redact import Redactor
from workers.remote import winrm_remote
from workers.remote.wary import Book, Wary, seal_of
from workers.remote.winrm_remote import WinRmRemote
from workers.samples import sampled
from workers.tools import Tools

Bell = Literal["look", "act"]
"""The two shared queues."""

JOBS: Final[Mapping[Bell, Mapping[str, Callable[..., object]]]] = {
    "act": {ADVANCE: jobs.advance},
    "look": {SURVEY: jobs.survey, LOOK_NOW: jobs.look_now, SAMPLE: jobs.sample, REPLICAS: jobs.watch_replicas},
}
"""All that each kind of worker does."""
WORKER_TTL_S: Final = 20
MONITOR_S: Final = 2
MAINTENANCE_S: Final = 5
_PR_SET_PDEATHSIG: Final = 1
_log = logging.getLogger("lync-dr.worker")


class SafeWorker(Worker):
    """RQ's forking worker, whose horses die with it and which is called dead within seconds."""

    lets_jobs_end: bool = True
    """Whether a job in hand ends first when the worker is told to stop. Looks need not: they change nothing."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Runs in the fork: asks the kernel to end this process when the worker does, then works."""
        die_with_parent(self.pid)
        super().main_work_horse(job, queue)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Five monitoring rounds instead of RQ's extra minute."""
        return 5 * int(self.job_monitoring_interval)

    def handle_warm_shutdown_request(self) -> None:
        """Told to stop: a call in flight is waited for, a look is dropped."""
        if not self.lets_jobs_end and self.horse_pid:
            self.kill_horse()


def die_with_parent(parent: int | None) -> None:
    """Ends this process with its parent, also when the parent is killed (prctl(2), PR_SET_PDEATHSIG; Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have gone between the fork and the line above; then nobody will send the signal.
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def worker_name(name: str) -> str:
    """A name that no other start has had: a reused one is refused until the old one's key has run out."""
    return f"{name}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def serve(bell: Bell, name: str, ready: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Loads everything, refuses what is wrong in a sentence, and listens until told to stop.

    `name` is the worker's signing key and its name in the record; `ready` is written once it listens. Raises
    `ConfigError`, `KeyTrouble`, `WeakStore`, `Unreachable`.
    """
    logging.getLogger("lync-dr").setLevel(logging.INFO)
    settings = load_settings(environment)
    first = load_all(settings)
    root = Root(settings, first, name)
    tools = root.tools()
    register = Register(tools.journal)
    register.started(f"worker {bell} {name}", _version(), tools.host)
    root.register = register.records()
    client = connect_rq(settings.store_url)
    equip(Workbench(root.tools))
    GuardedJob.allowed = dict(JOBS[bell])
    worker = SafeWorker(
        [Queue(bell, connection=client, job_class=GuardedJob, serializer="json")],
        name=worker_name(name),
        connection=client,
        job_class=GuardedJob,
        serializer="json",
        worker_ttl=WORKER_TTL_S,
        job_monitoring_interval=MONITOR_S,
        maintenance_interval=MAINTENANCE_S,
        log_job_description=False,
    )
    worker.lets_jobs_end = bell == "act"
    if ready is not None:
        ready.write_text(f"{os.getpid()}\n", "utf-8")
    worker.work(with_scheduler=False, logging_level="WARNING")


def _version() -> str:
    try:
        return importlib.metadata.version("lync-dr")
    except importlib.metadata.PackageNotFoundError:
        return "0"


class Root:
    """Puts a worker's tools together: once to find out what is wrong, then afresh for every job."""

    def __init__(self, settings: Settings, config: Configuration, name: str) -> None:
        self._settings, self._config, self._name = settings, config, name
        self._pid = os.getpid()
        self._book = Book(settings.state / "denied" / f"{name}.json")
        self._book.clear()
        self.register: tuple[Record, ...] = ()
        """The register as it was when this worker began. It grows for years, and a job that would have to verify all of
        it would begin later every year."""

    def tools(self) -> Tools:
        """Everything one job works with, from the files as they are now."""
        config, settings = self._latest(), self._settings
        keys = load_keys(settings.keys)
        writer = load_writer(self._name, state_dir=settings.state, keys=keys)
        journal = open_journal(
            settings.store_url, writer, keys, settings.state, weak_ok=settings.weak_store,
            known={REGISTER: self.register},
        )  # fmt: skip
        rules = Rules(policy=config.policy, practice=bool(config.endpoints.practice))
        secret = passwords(settings, config.endpoints)
        redactor = Redactor(secret.values())
        winrm = WinRmRemote(doors(settings, config.endpoints), redactor)
        remote = Wary(winrm, seals(settings, config.endpoints, writer.sign), self._book)
        survey, bell = config.estate.survey, RqDoorbell(settings.store_url)
        looker = Looker(
            remote,
            config.endpoints,
            dns_s=float(survey.dns_s),
            port_s=float(survey.port_s),
            samples=lambda: sampled(bell, keys),
        )
        return Tools(
            name=self._name,
            host=socket.gethostname(),
            desk=Desk(journal, rules, lambda: datetime.now(UTC)),
            bell=bell,
            remote=remote,
            looker=looker,
            own=config,
            redactor=redactor,
            blobs=Blobs(settings.state),
            keys=keys,
            sign=writer.sign,
            lease_s=float(settings.lease_s),
            fresh_s=float(settings.fresh_s),
            alive=self._alive,
            rest=winrm.settle,
        )

    def _latest(self) -> Configuration:
        """The files as they are now; where one has been spoiled meanwhile, the last good ones and a word about it."""
        try:
            return load_all(self._settings)
        except ConfigError as wrong:
            _log.warning("%s This worker goes on with the files it started with.", wrong)
            return self._config

    def _alive(self) -> bool:
        """In a forked job: whether the worker that forked it is still there."""
        return os.getpid() == self._pid or os.getppid() == self._pid


def passwords(settings: Settings, endpoints: Endpoints) -> dict[str, str]:
    """Reference -> password, as the secrets are now. Raises `ConfigError` where one is missing."""
    return {reference: settings.credential(reference).password.reveal() for reference in endpoints.credentials()}


def seals(settings: Settings, endpoints: Endpoints, sign: Callable[[bytes], bytes]) -> dict[str, str]:
    """Host -> what names its account and password without telling them; hosts without a password are not among them."""
    found = {}
    for host, one in endpoints.hosts.items():
        if one.credential:
            account = settings.credential(one.credential)
            found[host] = seal_of(sign, account.username, account.password.reveal())
    return found


def doors(settings: Settings, endpoints: Endpoints) -> dict[str, winrm_remote.Endpoint]:
    """The hosts of the endpoints file as the door wants them, with their secrets."""
    found = {}
    for host, one in endpoints.hosts.items():
        account = settings.credential(one.credential) if one.credential else None
        found[host] = winrm_remote.Endpoint(
            host=host,
            url=one.url,
            transport=one.transport,
            username=account.username if account else "",
            password=account.password.reveal() if account else "",
            ca_file=one.ca,
            cert_pem=one.client_cert,
            cert_key_pem=one.client_key,
            kerberos_host=one.server_name,
            kerberos_delegation=one.delegate,
        )
    return found
