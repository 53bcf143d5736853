"""The owner's side of a supervised program: starts the supervisor, listens, feeds, and stops it."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from orchestrator.errors import Failed, Refused
from orchestrator.process import leftovers
from orchestrator.process.command import Cause, Command, Ended
from orchestrator.process.log import OutputLog
from orchestrator.process.marker import MARKER
from orchestrator.process.printed import Printed
from orchestrator.process.request import Request
from orchestrator.process.wire import Wire, ignore

_INTERPRETER = ("-I", "-S")
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv[1]); from orchestrator.process.supervisor import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)
_ROOT = str(Path(__file__).resolve().parents[2])
_PASSED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_MEGABYTE = 1 << 20
_CHUNK_BYTES = 1 << 16
_TICK_S = 0.1
_SILENCE_S = 0.2
_FAREWELL_S = 20.0


def never() -> bool:
    """Returns False: nobody cancels."""
    return False


def supervise(
    command: Command,
    *,
    on_started: Callable[[tuple[int, int]], None],
    on_output: Callable[[bytes], None] = ignore,
    on_error: Callable[[bytes], None] = ignore,
    cancelled: Callable[[], bool] = never,
    wire: Wire | None = None,
) -> Ended:
    """Runs a program under a supervisor of its own and returns when nothing of it is running any more.

    The process is made first and held; `on_started` gets (pid, start time), makes them durable, and only
    then the program begins. `on_output` gets stdout and `on_error` stderr in pieces as they come, on the
    calling thread. `cancelled` is asked about ten times a second. A stop is SIGTERM to the process group, up
    to 5 s, then SIGKILL to everything below it. When a callback raises, or this process dies at any moment,
    everything is killed at once. What cannot be started ends with the cause `not-started`.
    With a `wire`, stdin stays open until the wire is closed, `command.stdin` comes after what was sent
    before, and the wire gets stdout raw besides.

    Raises:
        Refused: `unsupported-platform` on Windows; `unsafe-path` for the log.
        DiskFailed: the log cannot be written.
        Failed: `supervisor-lost`, the supervisor itself was killed or cannot start; what was found of the
            program was killed.
    """
    if sys.platform == "win32":
        raise Refused(
            "Supervised programs need Linux or macOS.",
            code="unsupported-platform",
            hint="On Windows, use WSL.",
        )
    try:
        request = _request(command)
    except ValueError as error:
        return _never_ran(str(error))
    with OutputLog(command.log, command.max_log_bytes) as log:
        printed = Printed(command.redactor, {"stdout": on_output, "stderr": on_error}, log)
        ears = _Ears(on_started, printed, cancelled)
        with _fed(wire, command.stdin) as talk, _Supervised(command, request, ears, talk) as supervised:
            return supervised.attend()


def _fed(wire: Wire | None, stdin: bytes) -> Wire:
    """Returns the wire to the program: the caller's, or one that says `stdin` and nothing more."""
    fed = wire or Wire()
    fed.send(stdin)
    if wire is None:
        fed.close()
    return fed


@dataclass(frozen=True, slots=True)
class _Ears:
    """Who is told what."""

    on_started: Callable[[tuple[int, int]], None]
    printed: Printed
    cancelled: Callable[[], bool]


class _Supervised:
    """A running supervisor with the pipes to it and to the program."""

    def __init__(self, command: Command, request: bytes, ears: _Ears, wire: Wire) -> None:
        self._command = command
        self._ears = ears
        self._request = request
        self._wire = wire
        self._open: set[str] = set()
        self._heard = b""
        self._process = (0, 0)
        self._failure = ""
        self._ended: list[str] = []
        self._told_to_stop = False
        self._last_output = 0.0

    def __enter__(self) -> Self:
        control_end, self._control = os.pipe()
        self._report, report_end = os.pipe()
        try:
            self._supervisor = subprocess.Popen(
                [sys.executable, *_INTERPRETER, "-c", _BOOTSTRAP, _ROOT, str(control_end), str(report_end)],
                cwd="/",
                env=_supervisor_environment(self._command.marker),
                stdin=subprocess.PIPE if self._wire.speaks else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(control_end, report_end),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            os.close(self._control)
            os.close(self._report)
            raise _lost(f"The supervisor could not be started: {error}.") from error
        finally:
            os.close(control_end)
            os.close(report_end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends everything at once, if it has not ended: the end of the control pipe is the owner's death."""
        os.close(self._control)
        for stream in (self._supervisor.stdin, self._supervisor.stdout, self._supervisor.stderr):
            if stream is not None:
                stream.close()
        try:
            self._supervisor.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        os.close(self._report)
        if not self._ended:
            self._clear_up()

    def attend(self) -> Ended:
        """Listens until the supervisor has reported the end, then takes what is still in the pipes."""
        self._tell(self._request)
        self._last_output = asked = time.monotonic()
        with selectors.DefaultSelector() as selector:
            self._register(selector)
            while not self._ended:
                self._balance(selector)
                for key, _ in selector.select(_TICK_S):
                    self._serve(selector, key)
                if time.monotonic() - asked >= _TICK_S:
                    asked = time.monotonic()
                    self._stop_if_asked()
            self._drain(selector)
        return self._verdict(self._ears.printed.finish())

    def _register(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._report, selectors.EVENT_READ, "report")
        selector.register(self._wire.bell, selectors.EVENT_READ, "bell")
        for stream, name in ((self._supervisor.stdout, "stdout"), (self._supervisor.stderr, "stderr")):
            if stream is not None:
                selector.register(stream.fileno(), selectors.EVENT_READ, name)
                self._open.add(name)
        if self._supervisor.stdin is not None:
            os.set_blocking(self._supervisor.stdin.fileno(), False)
            self._open.add("stdin")

    def _balance(self, selector: selectors.BaseSelector) -> None:
        """Listens to stdin and stdout only while the wire has something for the one, and wants the other."""
        wanted = {"stdin": self._wire.has_something, "stdout": not self._wire.is_held}
        if not wanted["stdout"]:
            self._last_output = time.monotonic()  # it is not silent: nobody listens
        for name, wants in wanted.items():
            stream = self._supervisor.stdin if name == "stdin" else self._supervisor.stdout
            if name not in self._open or stream is None or (stream.fileno() in selector.get_map()) is wants:
                continue
            if wants:
                event = selectors.EVENT_WRITE if name == "stdin" else selectors.EVENT_READ
                selector.register(stream.fileno(), event, name)
            else:
                selector.unregister(stream.fileno())

    def _serve(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if key.data == "report":
            self._hear()
        elif key.data == "bell":
            self._wire.answer_bell()
        elif key.data == "stdin":
            self._feed(selector, key.fd)
        else:
            self._read(selector, key)

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, _CHUNK_BYTES)
        if key.data == "stdout":
            self._wire.hand_on(chunk)
        if chunk:
            self._ears.printed.take(key.data, chunk)
            self._last_output = time.monotonic()
        else:
            selector.unregister(key.fd)
            self._open.discard(key.data)

    def _hear(self) -> None:
        chunk = os.read(self._report, _CHUNK_BYTES)
        if not chunk:
            raise _lost(f"The supervisor of {self._command.argv[0]} was killed or could not start.")
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "started":
                self._begin(*map(int, rest.split()))
            elif word == "failed":
                self._failure = rest
            else:
                self._ended = rest.split()

    def _begin(self, pid: int, start_time: int) -> None:
        self._process = (pid, start_time)
        self._ears.on_started(self._process)
        self._last_output = time.monotonic()
        self._stop_if_asked()
        self._tell(b"go\n")

    def _feed(self, selector: selectors.BaseSelector, descriptor: int) -> None:
        if not self._wire.feed(descriptor) and self._supervisor.stdin is not None:
            selector.unregister(descriptor)
            self._open.discard("stdin")
            self._supervisor.stdin.close()

    def _stop_if_asked(self) -> None:
        if self._told_to_stop:
            return
        if self._ears.cancelled():
            self._told_to_stop = True
            self._tell(b"cancelled\n")
        elif self._is_idle():
            self._told_to_stop = True
            self._tell(b"idle\n")

    def _is_idle(self) -> bool:
        limit_s = self._command.idle_timeout_s
        started = self._process != (0, 0)
        return started and limit_s is not None and time.monotonic() - self._last_output > limit_s

    def _tell(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._control, rest) :]
        except BrokenPipeError:
            return  # the end of the report pipe tells the same, with more care

    def _drain(self, selector: selectors.BaseSelector) -> None:
        """Takes the rest of the output; whoever still holds a pipe open is none of ours: no wait for it."""
        for key in list(selector.get_map().values()):
            if key.data not in ("stdout", "stderr"):
                selector.unregister(key.fd)
        stdout = self._supervisor.stdout
        if stdout is not None and "stdout" in self._open and stdout.fileno() not in selector.get_map():
            selector.register(stdout.fileno(), selectors.EVENT_READ, "stdout")  # held, but a pipe is small
        while selector.get_map():
            ready = selector.select(_SILENCE_S)
            if not ready:
                return
            for key, _ in ready:
                self._serve(selector, key)

    def _verdict(self, output_bytes: int) -> Ended:
        cause, status, cpu_s, wall_s, peak, left_over, unkilled = self._ended
        code = os.waitstatus_to_exitcode(int(status))
        exited = cause == "exited" and not self._failure
        return Ended(
            exit_status=code if exited and code >= 0 else None,
            signal=-code if code < 0 else None,
            cause="not-started" if self._failure else cast(Cause, cause),
            cpu_s=float(cpu_s),
            wall_s=float(wall_s),
            peak_memory_bytes=int(peak),
            output_bytes=output_bytes,
            left_over=int(left_over),
            detail=self._failure or _detail(cause, int(unkilled), self._command),
        )

    def _clear_up(self) -> None:
        """Kills what an untimely dead supervisor left: the program, and what carries its marker."""
        marker = self._command.marker
        if self._process != (0, 0):
            leftovers.end(leftovers.Leftover(*self._process, marker, self._command.argv[0]))
        if marker:
            leftovers.end_all(marker, exact=True)


def _request(command: Command) -> bytes:
    limits = command.limits
    environment = {os.fsencode(name): os.fsencode(value) for name, value in command.environment.items()}
    if command.marker:
        environment[MARKER.encode()] = os.fsencode(command.marker)
    return Request(
        argv=[os.fsencode(word) for word in command.argv],
        cwd=os.fsencode(command.cwd),
        environment=environment,
        timeout_s=command.timeout_s or 0.0,
        limits=(
            (limits.memory_mb or 0) * _MEGABYTE,
            limits.cpu_s or 0,
            limits.processes or 0,
            (limits.disk_mb or 0) * _MEGABYTE,
        ),
    ).encode()


def _supervisor_environment(marker: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**kept, MARKER: marker} if marker else kept


def _lost(sentence: str) -> Failed:
    return Failed(sentence, code="supervisor-lost", hint="Run the same command again.")


def _never_ran(reason: str) -> Ended:
    return Ended(
        exit_status=None,
        signal=None,
        cause="not-started",
        cpu_s=0.0,
        wall_s=0.0,
        peak_memory_bytes=0,
        output_bytes=0,
        left_over=0,
        detail=reason,
    )


def _detail(cause: str, unkilled: int, command: Command) -> str:
    reasons = {
        "deadline": f"stopped after {round(command.timeout_s or 0, 1):g} s",
        "idle": f"stopped after {round(command.idle_timeout_s or 0, 1):g} s of silence",
        "cancelled": "stopped on request",
    }
    sentences = [reasons[cause]] if cause in reasons else []
    if unkilled:
        sentences.append(f"{unkilled} of its processes could not be killed")
    return "; ".join(sentences)
