"""One supervised turn of any agent that is a program: a stream of events, exactly one `Finished` last."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.agents.backlog import Backlog
from orchestrator.agents.listening import Ear, PeopleEar, StreamEar
from orchestrator.agents.outcome import Facts, Rules, conclude
from orchestrator.agents.stream import Account, StreamParser
from orchestrator.fs.disk import Disk
from orchestrator.model.agent import AgentEvent, AgentRequest, Finished, Said, Started
from orchestrator.model.run import Usage
from orchestrator.process.command import Command, Ended, Limits
from orchestrator.process.spawn import minimal_environment, supervise
from orchestrator.process.wire import Wire
from orchestrator.redaction.redactor import Redactor

_POLL_S = 0.2
_SAY_EVERY_S = 1.0
_NETWORK = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


_UNLIMITED = Limits()
_NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Invocation:
    """How an agent is started for one turn, and how it is understood.

    `variables` are added to the minimal environment, `passed` names those that it gets from the caller's.
    `parser` understands its output where that is made for machines; `rules` are what is known of it
    beforehand, `model` is the one that it is told to use, `session` the id that its new session gets from us;
    `redactor` takes secrets out of its transcript.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    variables: Mapping[str, str] | None = None
    passed: tuple[str, ...] = ()
    limits: Limits = _UNLIMITED
    parser: Callable[[], StreamParser] | None = None
    rules: Rules = _NO_RULES
    model: str = ""
    session: str = ""
    redactor: Redactor = field(default_factory=Redactor)


def child_environment(
    request: AgentRequest, variables: Mapping[str, str], passed: tuple[str, ...] = ()
) -> dict[str, str]:
    """Returns an agent's environment: minimal, what it is named to get, and the marks of being inside a run.

    `request.environment` holds the caller's variables; of them only those `passed` by name get in. A secret
    goes before what was passed under its name.
    ORCHESTRATOR_EXECUTION makes a nested `orchestrator run` refuse.
    """
    named = (*_NETWORK, *_PLACES, *passed)
    asked = {name: request.environment[name] for name in named if name in request.environment}
    marks = {"ORCHESTRATOR_EXECUTION": request.marker}
    return minimal_environment(
        {**asked, **variables, **request.secrets, **request.added, **marks}, passed=named
    )


def take_turn(
    invocation: Invocation, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
) -> Iterator[AgentEvent]:
    """Yields `Started` (unless it cannot start), what the agent tells or prints for people, and `Finished`.

    The agent's program runs only after the consumer has asked for the event that follows `Started`, so that
    its process can be recorded first. `cancelled` is called in the consumer's thread. A program that tells
    more than the consumer takes has to wait. When the iterator is closed, or an error passes through it,
    every process of the turn is gone before it ends.

    Raises:
        DiskFailed: the transcript cannot be written.
    """
    Disk().make_dir(Path(request.transcript).parent)
    turn = _Turn(_command(invocation, request, worktree), invocation, request.continues)
    thread = threading.Thread(target=turn.supervise, name="agent-turn", daemon=True)
    thread.start()
    try:
        yield from turn.events(cancelled)
    finally:
        turn.stop.set()
        turn.recorded.set()
        turn.backlog.close()
        thread.join()


def write_prompt(request: AgentRequest) -> str:
    """Writes the prompt to a private file beside the transcript, outside the tree, and returns its path."""
    path = f"{request.transcript}.prompt"
    disk = Disk()
    disk.make_dir(Path(path).parent)
    disk.write(path, request.prompt.encode("utf-8", "surrogateescape"), mode=0o600)
    return os.path.abspath(path)


def _command(invocation: Invocation, request: AgentRequest, worktree: Path) -> Command:
    return Command(
        argv=invocation.argv,
        cwd=worktree,
        environment=child_environment(request, invocation.variables or {}, invocation.passed),
        timeout_s=request.timeout_s,
        idle_timeout_s=request.idle_timeout_s,
        log=Path(request.transcript),
        limits=invocation.limits,
        marker=request.marker,
        redactor=invocation.redactor,
    )


class _Turn:
    """The thread that supervises, and the backlog by which the consumer hears of it."""

    def __init__(self, command: Command, invocation: Invocation, continued: str) -> None:
        self.stop = threading.Event()
        self.recorded = threading.Event()
        self._command = command
        self._invocation = invocation
        self._continued = continued
        parser = invocation.parser
        self._ear: Ear = PeopleEar() if parser is None else StreamEar(parser())
        self._opened = self._ear.account.open(invocation.session, invocation.model)
        self._wire = Wire(self._hear)
        self._wire.send(invocation.stdin)
        self._wire.close()
        self.backlog: Backlog[AgentEvent | Ended | BaseException] = Backlog(self._wire.hold)

    def supervise(self) -> None:
        """Runs the agent to its end; the last thing it puts into the backlog is how it ended."""
        try:
            last: Ended | BaseException = supervise(
                self._command,
                on_started=self._started,
                on_output=self._ear.printed,
                on_error=self._ear.complained,
                cancelled=self.stop.is_set,
                wire=self._wire,
            )
        except BaseException as error:
            last = error
        self.backlog.add(self._ear.finish())
        self.backlog.add([last])

    def _started(self, process: tuple[int, int]) -> None:
        self.backlog.add([Started(process)])
        self.recorded.wait()

    def _hear(self, data: bytes) -> None:
        self.backlog.add(self._ear.heard(data))

    def events(self, cancelled: Callable[[], bool]) -> Iterator[AgentEvent]:
        """Yields the events of the turn; printed lines are gathered for a second before."""
        say_at = ask_at = 0.0
        while True:
            if time.monotonic() >= ask_at:
                ask_at = time.monotonic() + _POLL_S
                if not self.stop.is_set() and cancelled():
                    self.stop.set()
                    self.recorded.set()
            item = self.backlog.next(_POLL_S)
            if isinstance(item, Ended) or time.monotonic() >= say_at:
                lines = self._ear.lines()
                if lines:
                    yield Said(lines)
                    say_at = time.monotonic() + _SAY_EVERY_S
            match item:
                case None:
                    continue
                case Ended():
                    yield self._finished(item)
                    return
                case BaseException():
                    raise item
                case _:
                    yield item
            if isinstance(item, Started):
                yield from self._opened
                self.recorded.set()

    def _finished(self, ended: Ended) -> Finished:
        account: Account = self._ear.account
        facts = Facts(ended, account, self._ear.last_line, self._ear.errors, self._continued)
        conclusion = conclude(facts, self._invocation.rules)
        spent = account.usage or Usage()
        measured = replace(
            spent,
            turns=account.turns if spent.turns is None else spent.turns,
            cpu_s=ended.cpu_s,
            wall_s=ended.wall_s,
            peak_memory_bytes=ended.peak_memory_bytes,
        )
        return Finished(
            conclusion.ending,
            ended.exit_status,
            conclusion.detail,
            measured,
            answer=account.answer,
            cause=conclusion.cause,
            agent_session=account.agent_session,
            model=account.model or self._invocation.model,
        )
