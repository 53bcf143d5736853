"""Runs one check in a tree that is ready, and concludes how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.process.command import Command, Ended, Limits
from orchestrator.process.supervised import supervise
from orchestrator.process.wire import ignore
from orchestrator.redaction.finding import redacted
from orchestrator.redaction.redactor import Redactor
from orchestrator.secretstore.names import SUFFIX
from orchestrator.verify.judge import MAX_OUTPUT_BYTES, MAX_REPORT_BYTES, judge
from orchestrator.verify.outcome import Check, CheckOutcome
from orchestrator.verify.output import Printed, read_regular

Process = tuple[int, int]
"""(pid, start time in clock ticks)."""


@dataclass(frozen=True, slots=True)
class Runner:
    """How commands are run for one tree: where, in which environment, within which bounds.

    `deadline` is a moment of `time.monotonic()` past which nothing may run, None without one;
    `artifacts` receives the outputs, under names that begin with `label`.
    """

    tree: Path
    environment: Mapping[str, str]
    marker: str
    artifacts: Path
    label: str
    timeout_s: float
    idle_timeout_s: float | None
    deadline: float | None
    limits: Limits
    on_process: Callable[[Process], None]
    cancelled: Callable[[], bool]
    redactor: Redactor = field(default_factory=Redactor)

    def out_of_time(self) -> bool:
        """Returns whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def run(
        self,
        argv: tuple[str, ...],
        output: Path,
        on_stdout: Callable[[bytes], None] = ignore,
        on_stderr: Callable[[bytes], None] = ignore,
    ) -> Ended:
        """Runs one command to its end; all it prints goes to `output`, and to the two callbacks apart."""
        Disk().make_dir(output.parent)
        command = Command(
            argv=argv,
            cwd=self.tree,
            environment=self.environment,
            timeout_s=self._remaining_s(),
            idle_timeout_s=self.idle_timeout_s,
            log=output,
            limits=self.limits,
            marker=self.marker,
            redactor=self.redactor,
        )
        return supervise(
            command,
            on_started=self.on_process,
            on_output=on_stdout,
            on_error=on_stderr,
            cancelled=self.cancelled,
        )

    def fresh_path(self, name: str, ending: str) -> Path:
        """Returns a path at which nothing stands, encrypted or not, so that no earlier attempt answers."""
        number = 1
        while True:
            path = self.artifacts / f"{self.label}-{name}-{number}{ending}"
            if not any(os.path.lexists(place) for place in (path, f"{path}{SUFFIX}")):
                return path
            number += 1

    def _remaining_s(self) -> float:
        if self.deadline is None:
            return self.timeout_s
        return max(0.1, min(self.timeout_s, self.deadline - time.monotonic()))


def run_check(check: Check, runner: Runner) -> CheckOutcome | None:
    """Returns how the check ended; None when it was cancelled, or stopped by the deadline of the whole."""
    output = runner.fresh_path(check.name, ".log")
    report = runner.fresh_path(check.name, ".xml").absolute()
    stdout, stderr = Printed(head_bytes=MAX_OUTPUT_BYTES), Printed(head_bytes=0)
    words = tuple(word.replace("{report}", str(report)) for word in check.argv)
    ended = runner.run(words, output, stdout.take, stderr.take)
    if ended.cause == "cancelled" or (ended.cause == "deadline" and runner.out_of_time()):
        return None
    judged = judge(check, ended, tree=runner.tree, output=output, report=report, stdout=stdout, stderr=stderr)
    _redact_report(report, runner.redactor)
    return CheckOutcome(
        check=check,
        status=judged.status,
        exit_status=ended.exit_status,
        findings=tuple(redacted(finding, runner.redactor) for finding in judged.findings),
        duration_s=ended.wall_s,
        output_path=str(output) if output.exists() else "",
        detail=runner.redactor.text(judged.detail),
        itemised=judged.itemised,
        tests_run=judged.tests_run,
        report_path=str(report) if report.is_file() and not report.is_symlink() else "",
    )


def _redact_report(report: Path, redactor: Redactor) -> None:
    """Takes secrets out of a report, which the check itself wrote; one too large to be judged is removed."""
    content = read_regular(report, limit_bytes=MAX_REPORT_BYTES)
    if content is None:
        return
    clean = redactor.data(content.data)
    if content.cut:
        Disk().remove(report)
    elif clean is not content.data:
        Disk().write(report, clean, mode=0o600)
