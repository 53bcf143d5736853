"""The live view on a terminal: phases, the current step, the last words, the time."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text
from rich.tree import Tree

from orchestrator.cli.narration import describe, headline, phase_of, planned_phases, text_of
from orchestrator.cli.terminal import escape
from orchestrator.cli.words import duration
from orchestrator.model.event import Event, EventKind

_LAST_LINES = 3
_SPOKEN = frozenset(
    {
        EventKind.AGENT_SAID,
        EventKind.AGENT_TOOL,
        EventKind.CHECK_FINISHED,
        EventKind.FINDING_ADDED,
        EventKind.VERDICT_REACHED,
        EventKind.CHECKPOINT_CREATED,
    }
)
_MARKS = {
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
    "waiting": ("…", "yellow"),
    "pending": ("·", "dim"),
}


class LiveTree:
    """Redraws itself ten times a second on standard error; what it shows is escaped and cut to the width."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._began = time.monotonic()
        self._phases: dict[str, tuple[str, str]] = {}
        self._current = ""
        self._activity = "starting"
        self._lines: list[str] = []
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self._render, console=self._console, transient=True, redirect_stdout=False
        )

    def __enter__(self) -> LiveTree:
        """Takes over the lower part of the terminal."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clears the live part and leaves one line per phase behind."""
        self._live.__exit__(kind, error, trace)
        for phase, (name, status) in self._phases.items():
            self._console.print(self._phase_text(phase, name, status), soft_wrap=True)

    def event(self, event: Event) -> None:
        """Takes one event into the picture."""
        phase = phase_of(event.data)
        if event.kind is EventKind.PLAN_READY:
            self._phases = {each: (name, "pending") for each, name in planned_phases(event.data)}
        elif event.kind is EventKind.PHASE_STARTED:
            self._set(phase, "in_progress")
            self._current = phase
        elif event.kind is EventKind.PHASE_FINISHED:
            self._set(phase, text_of(event.data, "status"))
        self._activity = headline(event) or self._activity
        if event.kind in _SPOKEN:
            self._lines = [*self._lines, describe(event)][-_LAST_LINES:]

    def _set(self, phase: str, status: str) -> None:
        self._phases[phase] = (self._phases.get(phase, ("", ""))[0], status)

    def _render(self) -> RenderableType:
        tree = Tree(self._line(f"{self._activity}  {duration(time.monotonic() - self._began)}"))
        for phase, (name, status) in self._phases.items():
            branch = tree.add(self._phase_text(phase, name, status))
            if phase == self._current and status == "in_progress":
                for line in self._lines:
                    branch.add(self._line(line, "dim"))
        return Group(self._spinner, tree) if not self._phases else tree

    def _phase_text(self, phase: str, name: str, status: str) -> Text:
        mark, style = _MARKS.get(status, ("▸", "cyan"))
        return self._line(f"{mark} {phase}  {name}", style)

    def _line(self, text: str, style: str = "") -> Text:
        line = Text(" ".join(escape(text).split()), style=style, no_wrap=True)
        line.truncate(max(self._console.width - 8, 20), overflow="ellipsis")
        return line
