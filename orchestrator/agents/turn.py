"""One supervised turn of any agent that is a program: a stream of events, exactly one `Finished` last."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.agents.text import LineReader, plain_text
from orchestrator.fs.disk import Disk
from orchestrator.model.agent import AgentEvent, AgentRequest, Ending, Finished, Said, Started
from orchestrator.model.run import Usage
from orchestrator.process.command import Command, Ended, Limits
from orchestrator.process.spawn import minimal_environment, supervise
from orchestrator.redaction.redactor import Redactor

MAX_ANSWER_BYTES = 1024 * 1024
_POLL_S = 0.2
_SAY_EVERY_S = 1.0
_MAX_SAID = 4000
_MAX_LINES = 100
_NETWORK = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


_UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Invocation:
    """How an agent is started for one turn.

    `variables` are added to the minimal environment, `passed` names those that it gets from the caller's.
    `meanings` explains exit statuses; `shows` decides which lines of its output are for people;
    `redactor` takes secrets out of all of it; `answers` tells that what it prints to standard output is its
    answer, of which the last MiB is kept.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    variables: Mapping[str, str] | None = None
    passed: tuple[str, ...] = ()
    limits: Limits = _UNLIMITED
    meanings: Mapping[int, str] | None = None
    shows: Callable[[str], bool] = lambda line: True
    redactor: Redactor = field(default_factory=Redactor)
    answers: bool = False


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
    """Yields `Started` (unless it cannot start), what the agent prints for people, and `Finished`.

    The agent's program runs only after the consumer has asked for the event that follows `Started`, so that
    its process can be recorded first. `cancelled` is called in the consumer's thread. When the iterator is
    closed, or an error passes through it, every process of the turn is gone before it ends.

    Raises:
        DiskFailed: the transcript cannot be written.
    """
    Disk().make_dir(Path(request.transcript).parent)
    turn = _Turn(_command(invocation, request, worktree), invocation)
    thread = threading.Thread(target=turn.supervise, name="agent-turn", daemon=True)
    thread.start()
    try:
        yield from turn.events(cancelled)
    finally:
        turn.stop.set()
        turn.recorded.set()
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
        stdin=invocation.stdin,
        timeout_s=request.timeout_s,
        idle_timeout_s=request.idle_timeout_s,
        log=Path(request.transcript),
        limits=invocation.limits,
        marker=request.marker,
        redactor=invocation.redactor,
    )


class _Turn:
    """The thread that supervises, and the queue by which the consumer hears of it."""

    def __init__(self, command: Command, invocation: Invocation) -> None:
        self.stop = threading.Event()
        self.recorded = threading.Event()
        self._command = command
        self._invocation = invocation
        self._queue: queue.SimpleQueue[tuple[int, int] | Ended | BaseException] = queue.SimpleQueue()
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._output, self._errors = LineReader(), LineReader()
        self._answer = bytearray()

    def supervise(self) -> None:
        """Runs the agent to its end; the last thing it puts into the queue is how it ended."""
        try:
            ended = supervise(
                self._command,
                on_started=self._started,
                on_output=self._printed,
                on_error=lambda data: self._show(self._errors.feed(data)),
                cancelled=self.stop.is_set,
            )
        except BaseException as error:
            self._queue.put(error)
        else:
            self._show(self._output.finish() + self._errors.finish())
            self._queue.put(ended)

    def _started(self, process: tuple[int, int]) -> None:
        self._queue.put(process)
        self.recorded.wait()

    def _printed(self, data: bytes) -> None:
        if self._invocation.answers:
            self._answer += data
            del self._answer[:-MAX_ANSWER_BYTES]
        self._show(self._output.feed(data))

    def _show(self, lines: list[str]) -> None:
        # A bounded queue of the newest: an agent may print faster than its lines can be recorded.
        self._lines.extend(line for line in lines if self._invocation.shows(line))

    def events(self, cancelled: Callable[[], bool]) -> Iterator[AgentEvent]:
        """Yields the events of the turn; lines are gathered for a second before they are passed on."""
        say_at = 0.0
        while True:
            if not self.stop.is_set() and cancelled():
                self.stop.set()
                self.recorded.set()
            item = self._next()
            if self._lines and (isinstance(item, Ended) or time.monotonic() >= say_at):
                yield Said(self._gathered())
                say_at = time.monotonic() + _SAY_EVERY_S
            match item:
                case Ended():
                    yield self._finished(item)
                    return
                case BaseException():
                    raise item
                case (_, _):
                    yield Started(item)
                    self.recorded.set()

    def _next(self) -> tuple[int, int] | Ended | BaseException | None:
        try:
            return self._queue.get(timeout=_POLL_S)
        except queue.Empty:
            return None

    def _gathered(self) -> str:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        text = "\n".join(lines)
        return text if len(text) <= _MAX_SAID else "…" + text[1 - _MAX_SAID :]

    def _finished(self, ended: Ended) -> Finished:
        usage = Usage(cpu_s=ended.cpu_s, wall_s=ended.wall_s, peak_memory_bytes=ended.peak_memory_bytes)
        ending = _ending(ended)
        answer = plain_text(bytes(self._answer)).strip()
        return Finished(ending, ended.exit_status, self._detail(ended, ending), usage, answer)

    def _detail(self, ended: Ended, ending: Ending) -> str:
        if ending is Ending.FINISHED:
            return ""
        if ending is not Ending.FAILED:
            return ended.detail or _STOPPED[ending]
        if ended.cause == "not-started":
            return ended.detail or "it could not be started"
        last = self._errors.last or self._output.last
        said = f": {last[:500]}" if last else ""
        if ended.exit_status is None:
            return f"killed by signal {ended.signal}{said}"
        meaning = (self._invocation.meanings or {}).get(ended.exit_status)
        explained = f" ({meaning})" if meaning else ""
        return f"exit status {ended.exit_status}{explained}{said}"


_STOPPED = {
    Ending.CANCELLED: "stopped on request",
    Ending.DEADLINE: "stopped because its time was over",
    Ending.IDLE: "stopped because it was silent for too long",
}


def _ending(ended: Ended) -> Ending:
    match ended.cause:
        case "cancelled":
            return Ending.CANCELLED
        case "deadline":
            return Ending.DEADLINE
        case "idle":
            return Ending.IDLE
        case "exited" if ended.exit_status == 0:
            return Ending.FINISHED
        case _:
            return Ending.FAILED
