"""`verify`: runs the checks on the working tree as it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.finding_formats import Format, Listed, as_json, in_order, render
from orchestrator.cli.findings import FormatOption
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Screen, Styled
from orchestrator.errors import AnswerIsNo, Failed

if TYPE_CHECKING:
    from orchestrator.verify.checks import CheckEvent
    from orchestrator.verify.gate import Assessment
    from orchestrator.verify.outcome import CheckReport


def verify(
    ctx: typer.Context,
    base: Annotated[
        str | None, typer.Option(metavar="REF", help="Only findings that this commit lacks count.")
    ] = None,
    form: FormatOption = Format.TEXT,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this repository for this call.")] = False,
) -> int:
    """Checks a clean copy of the working tree, uncommitted changes included; exit 1 over a threshold."""
    call = invocation(ctx)
    from orchestrator.cli.stopping import StopRequest
    from orchestrator.cli.trusting import open_trusted
    from orchestrator.engine.verification import verify_checkout

    with open_trusted(call, trust_now=trust) as workspace:
        workspace.trust.require()
        commit = workspace.repository.resolve(base) if base is not None else None
        with StopRequest(call.screen) as stop:
            report, assessment = verify_checkout(
                workspace.context,
                workspace.loaded.config,
                base=commit,
                cancelled=stop,
                on_event=lambda label, event: _progress(call.screen, label, event),
            )
    if stop():
        return stop.exit_status
    if report.setup_failure is not None:
        raise Failed(
            report.setup_failure,
            code="setup-failed",
            hint="Look at worktrees.setup: orchestrator config show",
        )
    return _answer(call, report, assessment, Format.JSON if call.screen.as_json else form)


def _progress(screen: Screen, label: str, event: CheckEvent) -> None:
    from orchestrator.verify.checks import CheckFinished, CheckStarted

    where = " on the base" if label == "base" else ""
    if isinstance(event, CheckStarted):
        screen.detail(f"check {event.check.name}{where} started")
    elif isinstance(event, CheckFinished):
        outcome = event.outcome
        told = f"check {outcome.check.name}{where}: {outcome.status} ({outcome.duration_s:.1f} s)"
        screen.note(f"{told} {outcome.detail}".rstrip())


def _answer(call: Invocation, report: CheckReport, assessment: Assessment, form: Format) -> int:
    from orchestrator.cli.terminal import escape, write

    listed = [Listed(each.finding, is_new=each.is_new) for each in assessment.findings]
    if form is Format.JSON:
        call.screen.json(
            {
                "tree": report.tree,
                "holds": assessment.holds,
                "verified": assessment.verified,
                "checks": [
                    {"name": each.check.name, "status": each.status, "exit_status": each.exit_status}
                    for each in report.outcomes
                ],
                "over": list(assessment.over),
                "broken": list(assessment.broken),
                "indeterminate": list(assessment.indeterminate),
                "unverified": list(assessment.unverified),
                "warnings": list(assessment.warnings),
                "findings": [as_json(each) for each in in_order(listed)],
            }
        )
    else:
        text = call.redactor.text(render(listed, form))
        write(sys.stdout, escape(text) if form is Format.TEXT else text)
    for sentence in (*assessment.indeterminate, *assessment.unverified, *assessment.warnings):
        call.screen.warn(sentence)
    return _conclude(call.screen, assessment)


def _conclude(screen: Screen, assessment: Assessment) -> int:
    if not assessment.holds:
        against = " ".join((*assessment.over, *assessment.broken))
        refusal = AnswerIsNo(against, code="gates-unmet", hint="Repair it: orchestrator run")
        screen.error(Styled(f"error[{refusal.code}]:", "red"), " ", refusal.message)
        return refusal.exit_status
    proved = (
        "Every gate holds." if assessment.verified else "Nothing stands against it, but not all is proved."
    )
    screen.note(proved)
    return 0
