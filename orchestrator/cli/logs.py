"""The log file: every event as a line, by level, in JSON or text, rotated; kept by commands that write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import FileLock
from orchestrator.model.event import Event, EventKind
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.config.schema import Logging
    from orchestrator.workspace import Workspace

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_DEBUG = frozenset(
    {
        EventKind.AGENT_SAID,
        EventKind.AGENT_SESSION,
        EventKind.AGENT_PERMISSION,
        EventKind.AGENT_TOOL,
        EventKind.AGENT_USAGE,
        EventKind.CHECK_STARTED,
    }
)
_WARNING = frozenset(
    {EventKind.INTERVENTION_REQUESTED, EventKind.FINGERPRINT_CHANGED, EventKind.RUN_RECOVERED}
)


def keep_log(workspace: Workspace) -> None:
    """Writes each event of this process to the log from now on; a log that fails stops nothing."""
    log = EventLog(workspace.paths.log_file, workspace.loaded.config.logging)
    workspace.state.subscribe(log.event)


def level_of(event: Event) -> str:
    """Returns how loud an event is."""
    if event.kind in _DEBUG:
        return "debug"
    if event.data.get("status") == "failed" and event.kind is EventKind.RUN_FINISHED:
        return "error"
    return "warning" if event.kind in _WARNING or event.data.get("status") == "failed" else "info"


def _plain(value: Json) -> Json:
    """Returns a value without the classes of ours, whose names would show in the text form."""
    return str(value) if isinstance(value, str) else value


class Sink(Protocol):
    """Takes a level's worth of named facts."""

    def msg(self, event: str, **facts: object) -> None:
        """Writes one line."""
        ...


class EventLog:
    """Turns events into lines. The first that is loud enough opens the file and imports structlog."""

    def __init__(self, path: Path, settings: Logging) -> None:
        self._path = path
        self._settings = settings
        self._threshold = _LEVELS.get(settings.level, 20)
        self._sink: Sink | None = None
        self._gave_up = False

    def event(self, event: Event) -> None:
        """Writes one event, if its level is asked for."""
        level = level_of(event)
        if _LEVELS[level] < self._threshold or self._gave_up:
            return
        facts = {name: _plain(value) for name, value in event.data.items() if name not in ("level", "event")}
        try:
            self._open().msg(
                str(event.kind), level=level, run_id=event.run_id, trace_id=event.trace_id, **facts
            )
        except (OSError, OrchestratorError):
            self._gave_up = True

    def _open(self) -> Sink:
        if self._sink is None:
            self._sink = make_sink(self._path, self._settings)
        return self._sink


def make_sink(path: Path, settings: Logging) -> Sink:
    """Returns a structlog logger whose lines go to `path`."""
    import structlog

    if settings.format == "json":
        renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=True)
    else:
        renderer = structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    file = RotatedFile(path, settings.rotate_mb * 1024 * 1024, settings.keep)
    logger: Sink = structlog.wrap_logger(
        structlog.WriteLogger(cast("TextIO", file)),
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), renderer],
        wrapper_class=structlog.BoundLogger,
    )
    return logger


class RotatedFile:
    """A file that several processes append whole lines to; past `limit_bytes` it is renamed and begun anew.

    Only a holder of the lock beside it rotates. Who still has the renamed file open goes over to the new one
    with its next line, so no line is lost. Old files are `<name>.1` (newest) up to `keep`.
    """

    def __init__(self, path: Path, limit_bytes: int, keep: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._disk = Disk()
        self._descriptor = self._opened()

    def write(self, text: str) -> None:
        """Appends text as one write."""
        if self._is_gone():
            os.close(self._descriptor)
            self._descriptor = self._opened()
        if os.fstat(self._descriptor).st_size >= self._limit_bytes:
            self._rotate()
        os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Has nothing to do: every write goes to the system at once."""

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        return os.open(self._path, flags, 0o600)

    def _is_gone(self) -> bool:
        try:
            there = os.lstat(self._path)
        except FileNotFoundError:
            return True
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _rotate(self) -> None:
        lock = FileLock(
            self._path.with_name(self._path.name + ".lock"), what="the log", command="orchestrator"
        )
        try:
            lock.acquire(timeout_s=0.1)
        except OrchestratorError:
            return  # somebody else rotates just now
        try:
            if not self._is_gone():
                self._shift()
            os.close(self._descriptor)
            self._descriptor = self._opened()
        finally:
            lock.release()

    def _shift(self) -> None:
        names = [
            self._path,
            *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._keep + 1)),
        ]
        if self._keep == 0:
            self._disk.remove(self._path)
        for older, newer in zip(reversed(names), list(reversed(names))[1:], strict=False):
            if newer.exists():
                self._disk.rename(newer, older)
