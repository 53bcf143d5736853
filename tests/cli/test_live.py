from __future__ import annotations

import io
import json
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.cli.edge import Terminated
from orchestrator.cli.live import Lines, Stream, as_json, view_for
from orchestrator.cli.live_tree import LiveTree
from orchestrator.cli.narration import describe, headline, phase_of, planned_phases, text_of
from orchestrator.cli.screen import Screen
from orchestrator.cli.stopping import StopRequest
from orchestrator.model.event import Event, EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.json import JsonObject


def event(kind: EventKind, data: JsonObject | None = None, seq: int = 1) -> Event:
    at = datetime(2026, 11, 20, 10, 11, 12, tzinfo=UTC)
    return Event(seq, seq, at, RunId("a"), kind, data or {}, "trace", None, "hash")


PLAN = event(
    EventKind.PLAN_READY, {"phases": [{"id": "p1", "name": "First"}, {"id": "p2", "name": "Second"}]}
)


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_event_has_words_even_without_any_data(kind: EventKind) -> None:
    assert describe(event(kind)).strip()


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (EventKind.RUN_STARTED, {"base": "c41ab3f97073aaaa"}, "run started from c41ab3f97073"),
        (EventKind.RUN_RESUMED, {"reason": "it was interrupted"}, "run resumed: it was interrupted"),
        (EventKind.RUN_STATUS, {"status": "executing"}, "run is executing"),
        (EventKind.RUN_STATUS, {"warning": "No check."}, "warning: No check."),
        (EventKind.RUN_WAITING, {"waiting_for": "backoff", "wake_at": "T"}, "run waits for backoff, until T"),
        (EventKind.PHASE_FINISHED, {"phase_id": "p1", "status": "failed"}, "phase p1 failed"),
        (
            EventKind.EXECUTION_FINISHED,
            {"phase_id": "p", "attempt": 2, "status": "failed", "error": "no"},
            "attempt 2 of p failed: no",
        ),
        (
            EventKind.STEP_STARTED,
            {"step": 1, "steps": 2, "agent": "codex", "task": "review", "attempt": 3},
            "step 1 of 2, attempt 3: codex (review)",
        ),
        (EventKind.STEP_STARTED, {"step": 1, "steps": 1, "agent": "codex", "attempt": 1}, "step 1: codex"),
        (
            EventKind.CHECK_FINISHED,
            {
                "name": "lint",
                "command": "ruff",
                "status": "failed",
                "duration_s": 1.25,
                "tree": "base",
                "reused": True,
                "detail": "2 findings",
            },
            "check lint (ruff) on the base: failed: 2 findings, known from before (1.2 s)",
        ),
        (
            EventKind.FINDING_ADDED,
            {"severity": "major", "category": "test", "location": "a:1", "message": "no", "is_new": False},
            "finding: major test: a:1: no (in the base too)",
        ),
        (
            EventKind.VERDICT_REACHED,
            {"decision": "retry", "reasons": ["one", "two"]},
            "verdict: retry (one two)",
        ),
        (
            EventKind.RUN_FINISHED,
            {"status": "completed", "branch": "refs/heads/orchestrator/a", "outcome": None},
            "run finished: completed, orchestrator/a",
        ),
        (
            EventKind.RUN_RECOVERED,
            {"from": 1.5, "deep": {"a": 1}, "odd": None, "list": [1, {"x": 1}]},
            "run recovered from=1.5 deep= odd= list=1",
        ),
        (EventKind.AGENT_SAID, {"text": "two\nlines"}, "agent: two lines"),
    ],
)
def test_events_in_words(kind: EventKind, data: JsonObject, words: str) -> None:
    assert describe(event(kind, data)) == words


def test_fields_of_odd_shapes_are_empty_text() -> None:
    assert text_of({"a": {"b": 1}}, "a") == ""
    assert planned_phases({"phases": "none"}) == []
    assert phase_of({"phase": "p"}) == "p"


def test_an_events_own_fields_win_over_its_data() -> None:
    shown = as_json(event(EventKind.AGENT_SAID, {"seq": 99, "kind": "forged", "text": "x"}))

    assert (shown["seq"], shown["kind"], shown["text"]) == (1, "agent.said", "x")


def test_run_finished_is_the_last_line_whatever_follows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Stream() as stream:
        stream.event(event(EventKind.RUN_FINISHED, {"status": "completed"}, 2))
        stream.event(event(EventKind.FINGERPRINT_CHANGED, {}, 3))
    stream.finish(None, 3, "now")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["fingerprint.changed", "run.finished"]
    assert (lines[-1]["status"], lines[-1]["exit_status"], lines[-1]["seq"]) == ("completed", 3, 2)


def test_a_stream_without_run_finished_gets_one(capsys: pytest.CaptureFixture[str]) -> None:
    with Stream() as stream:
        stream.event(event(EventKind.PHASE_STARTED, seq=7))
    stream.finish(None, 130, "now")

    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["seq"], last["at"], last["status"], last["head"]) == (8, "now", None, None)


def test_lines_leave_out_what_neighbours_say_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (0, 1):
        with Lines(Screen(verbose=verbose)) as lines:
            lines.event(event(EventKind.RUN_STATUS, {"status": "executing"}))
            lines.event(event(EventKind.PHASE_STARTED, {"phase_id": "p1"}))

    assert capsys.readouterr().err.splitlines() == [
        "10:11:12 phase p1 started",
        "10:11:12 run is executing",
        "10:11:12 phase p1 started",
    ]


def test_silence_is_broken_by_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[str] = []
    heard = threading.Event()

    class Heard(Screen):
        def note(self, *parts: object) -> None:
            beats.append("".join(map(str, parts)))
            heard.set()

    with Lines(Heard(), heartbeat_s=0.01) as lines:
        assert heard.wait(10)
    del lines

    assert beats[0] == "still working, 0 s in; no change for 0 s: starting"


def test_the_view_fits_the_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(view_for(Screen(as_json=True)), Stream)
    assert isinstance(view_for(Screen()), Lines)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Terminal())
    assert isinstance(view_for(Screen()), LiveTree)
    assert isinstance(view_for(Screen(quiet=True)), Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view_for(Screen()), Lines)


def test_the_live_tree_shows_phases_the_step_and_the_last_words() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, color_system=None)
    with LiveTree(console) as tree:
        tree.event(PLAN)
        tree.event(event(EventKind.PHASE_STARTED, {"phase_id": "p1"}))
        tree.event(event(EventKind.STEP_STARTED, {"step": 1, "agent": "codex"}))
        for number in range(5):
            tree.event(event(EventKind.AGENT_SAID, {"text": f"word {number} \x1b[31m " + "long " * 40}))
        console.print(tree._render())
        tree.event(event(EventKind.PHASE_FINISHED, {"phase_id": "p1", "status": "completed"}))
        tree.event(event(EventKind.PHASE_STARTED, {"phase_id": "unknown"}))

    shown = out.getvalue()
    assert "step 1: codex 0 s" in shown
    assert "word 4 \\x1b[31m" in shown
    assert "word 1" not in shown
    assert "\x1b[31m" not in shown
    left_behind = [line.rpartition("\x1b[2K")[2] for line in shown.rstrip().splitlines()[-3:]]
    assert left_behind == ["✓ p1 First", "· p2 Second", "▸ unknown"]


def test_only_activities_change_the_headline() -> None:
    assert headline(event(EventKind.CHECK_STARTED, {"name": "lint"})) == "check lint started"
    assert headline(event(EventKind.AGENT_SAID, {"text": "x"})) == ""


@pytest.mark.parametrize(
    ("number", "error", "status"),
    [(signal.SIGINT, KeyboardInterrupt, 130), (signal.SIGTERM, Terminated, 143)],
)
def test_the_first_signal_asks_and_the_second_ends(
    number: signal.Signals, error: type[BaseException], status: int
) -> None:
    before = signal.getsignal(number)

    with StopRequest(Screen(quiet=True)) as stop:
        asked = [stop()]
        signal.raise_signal(number)
        asked.append(stop())
        with pytest.raises(error):
            signal.raise_signal(number)

    assert (asked, stop.exit_status) == ([False, True], status)
    assert signal.getsignal(number) is before


def test_the_log_file_is_kept_in_the_form_and_level_that_are_configured(tmp_path: Path) -> None:
    from orchestrator.cli.logs import EventLog
    from orchestrator.config.schema import Logging

    for form, level in (("json", "debug"), ("text", "warning")):
        log = EventLog(tmp_path / form, Logging(format=form, level=level))
        log.event(event(EventKind.AGENT_SAID, {"text": "x\ny", "event": "forged"}))
        log.event(event(EventKind.RUN_STARTED, {"task": "t"}))
        log.event(event(EventKind.PHASE_FINISHED, {"status": "failed"}))
        log.event(event(EventKind.RUN_FINISHED, {"status": "failed"}))

    lines = [json.loads(line) for line in (tmp_path / "json").read_text().splitlines()]
    words = (tmp_path / "text").read_text().splitlines()
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error"]
    assert (lines[0]["event"], lines[0]["text"], lines[0]["run_id"]) == ("agent.said", "x\ny", "a")
    assert [line.split()[1] for line in words] == ["level='warning'", "level='error'"]
    assert (tmp_path / "json").stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    from orchestrator.cli.logs import EventLog
    from orchestrator.config.schema import Logging

    log = EventLog(tmp_path / "missing" / "log", Logging())

    log.event(event(EventKind.RUN_STARTED))
    log.event(event(EventKind.RUN_STARTED))

    assert not list(tmp_path.iterdir())


def test_a_full_log_is_rotated_and_old_ones_are_dropped(tmp_path: Path) -> None:
    from orchestrator.cli.logs import RotatedFile

    one, other = (RotatedFile(tmp_path / "log", 10, 2) for _ in range(2))
    for number in range(6):
        (one, other)[number % 2].write(f"line number {number}\n")
        one.flush()
    one.close()
    other.close()

    kept = [(tmp_path / name).read_text() for name in ("log.2", "log.1", "log")]
    assert kept == ["line number 3\n", "line number 4\n", "line number 5\n"]
    assert not (tmp_path / "log.3").exists()


def test_nothing_old_is_kept_when_none_is_wanted(tmp_path: Path) -> None:
    from orchestrator.cli.logs import RotatedFile

    file = RotatedFile(tmp_path / "log", 1, 0)
    file.write("one\n")
    file.write("two\n")
    file.close()

    assert (tmp_path / "log").read_text() == "two\n"
    assert not (tmp_path / "log.1").exists()


def test_who_cannot_get_the_lock_goes_on_in_the_full_file(tmp_path: Path) -> None:
    from orchestrator.cli.logs import RotatedFile
    from orchestrator.fs.lock import FileLock

    file = RotatedFile(tmp_path / "log", 1, 2)
    file.write("one\n")
    with FileLock(str(tmp_path / "log.lock"), what="the log", command="test"):
        file.write("two\n")
    file.close()

    assert (tmp_path / "log").read_text() == "one\ntwo\n"
