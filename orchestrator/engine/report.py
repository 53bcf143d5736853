"""Tells what a run did and proved, from what is recorded."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engine.recording import add_usage
from orchestrator.engine.written import KIND, path_in_tree
from orchestrator.model.event import EventKind
from orchestrator.model.finding import RecordedFinding, Severity
from orchestrator.model.ids import PhaseId, RunId
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.record import Artifact, ManualIntervention
from orchestrator.model.run import Execution, Phase, Run, RunStatus, Usage
from orchestrator.state.manager import StateManager


@dataclass(frozen=True, slots=True)
class CheckLine:
    """How one check ended in the attempt that ran it last."""

    name: str
    command: str
    status: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything a person wants to know of a run; executions in the order of their making.

    `spent` holds, of each step, the last that its agent told of what it consumed.
    """

    run: Run
    phases: tuple[Phase, ...]
    executions: tuple[Execution, ...]
    checks: tuple[CheckLine, ...]
    findings: tuple[RecordedFinding, ...]
    interventions: tuple[ManualIntervention, ...]
    artifacts: tuple[Artifact, ...]
    agents: tuple[str, ...]
    usage: Usage
    spent: tuple[JsonObject, ...] = ()

    def attempts(self, phase_id: PhaseId) -> int:
        """Returns how often a phase was tried, interrupted attempts included."""
        return sum(execution.phase_id == phase_id for execution in self.executions)


def build_report(state: StateManager, run_id: RunId) -> RunReport:
    """Returns the report of a run, finished or not.

    Raises:
        Refused: `run-unknown`.
    """
    run = state.get_run(run_id)
    executions = tuple(state.get_executions(run_id))
    usage = run.metadata.progress.planning
    for execution in executions:
        usage = add_usage(usage, execution.progress.usage)
    checks: dict[str, CheckLine] = {}
    agents: dict[str, None] = {}
    spent: dict[tuple[Json, ...], JsonObject] = {}
    for event in state.events(run_id):
        if event.kind is EventKind.CHECK_FINISHED:
            line = _check_line(event.data)
            checks[line.name] = line
        elif event.kind is EventKind.STEP_STARTED:
            agents[_text(event.data.get("agent"))] = None
        elif event.kind is EventKind.AGENT_USAGE and event.data.get("agent"):
            spent[tuple(event.data.get(name) for name in ("phase", "attempt", "round", "step"))] = event.data
    return RunReport(
        run=run,
        phases=tuple(state.get_phases_for_run(run_id)),
        executions=executions,
        checks=tuple(checks.values()),
        findings=tuple(state.get_findings(run_id)),
        interventions=tuple(state.get_interventions(run_id)),
        artifacts=tuple(state.get_artifacts(run_id)),
        agents=tuple(agents),
        usage=usage,
        spent=tuple(spent.values()),
    )


def exit_status(run: Run) -> int:
    """Returns what a command that worked on this run ends with. Source: CONTRACT.md, Exit status."""
    match run.status:
        case RunStatus.COMPLETED:
            return 0
        case RunStatus.WAITING:
            return 6
        case RunStatus.FAILED:
            return run.metadata.progress.exit_status or 3
        case RunStatus.CANCELLED:
            return 3
        case RunStatus.PLANNING | RunStatus.EXECUTING | RunStatus.VERIFYING:
            return 3


def render_markdown(report: RunReport) -> str:
    """Returns the report as Markdown; text of tools and people is escaped or fenced."""
    sections = (
        _heading(report),
        _phase_table(report),
        _spent_table(report),
        _written_list(report),
        _check_table(report),
        _finding_list(report),
        _intervention_list(report),
        _next_commands(report.run),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _heading(report: RunReport) -> str:
    run, progress = report.run, report.run.metadata.progress
    facts = [
        ("Status", run.status + (f" ({progress.outcome})" if progress.outcome else "")),
        ("Base", f"`{run.metadata.origin.base}`"),
        ("Result", f"`{progress.result}`" if progress.result else "no changes"),
        ("Branch", f"`{progress.branch.removeprefix('refs/heads/')}`" if progress.branch else "none"),
        ("Agents", ", ".join(_plain(agent) for agent in report.agents) or "none yet"),
        ("Spent", _spent(report.usage)),
    ]
    if progress.error:
        facts.append(("Reason", _plain(progress.error)))
    lines = [f"# Run {run.id}", "", _quote(run.task), ""]
    lines += [f"- **{name}:** {value}" for name, value in facts]
    lines += [f"- **Note:** {_plain(note)}" for note in progress.notes]
    return "\n".join(lines)


def _spent(usage: Usage) -> str:
    parts = [f"{usage.wall_s:.1f} s of agents, {usage.cpu_s:.1f} s of processor"]
    if usage.input_tokens is not None or usage.output_tokens is not None:
        parts.append(f"{usage.input_tokens or 0:,} tokens in, {usage.output_tokens or 0:,} out")
    else:
        parts.append("tokens unmetered")
    if usage.cost_usd is not None:
        parts.append(f"{usage.cost_usd:.{2 if usage.cost_usd >= 0.01 else 4}f} USD")
    return "; ".join(parts)


def _phase_table(report: RunReport) -> str:
    rows = ["## Phases", "", "| phase | name | status | attempts |", "|---|---|---|---|"]
    rows += [
        f"| {phase.id} | {_cell(phase.plan.name)} | {phase.status} | {report.attempts(phase.id)} |"
        for phase in report.phases
    ]
    return "\n".join(rows)


def _spent_table(report: RunReport) -> str:
    if not report.spent:
        return ""
    rows = [
        "## Spent",
        "",
        "| step | agent | model | turns | tokens in | out | USD |",
        "|---|---|---|---|---|---|---|",
    ]
    for facts in report.spent:
        step = f"{facts.get('phase')} {facts.get('attempt')}.{facts.get('round')}.{facts.get('step')}"
        tokens = ("input_tokens", "output_tokens")
        metered = any(facts.get(name) is not None for name in (*tokens, "cost_usd"))
        counts = [_count(facts.get(name)) for name in ("turns", *tokens)]
        if not metered:
            counts[1:] = ["unmetered", ""]
        cost = facts.get("cost_usd")
        money = f"{cost:.4f}" if isinstance(cost, int | float) else ""
        names = [_cell(_text(facts.get(name))) for name in ("agent", "model")]
        rows.append(f"| {_cell(step)} | {' | '.join([*names, *counts, money])} |")
    return "\n".join(rows)


def _count(value: Json) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _check_table(report: RunReport) -> str:
    if not report.checks:
        return "## Checks\n\n**Unverified:** no check has been run."
    rows = ["## Checks", "", "| check | command | result | seconds |", "|---|---|---|---|"]
    rows += [
        f"| {_cell(c.name)} | `{_cell(c.command)}` | {c.status} | {c.duration_s:.1f} |" for c in report.checks
    ]
    return "\n".join(rows)


def _written_list(report: RunReport) -> str:
    """Returns the files that were taken from answers, each with the hash that it was written with."""
    written = [artifact for artifact in report.artifacts if artifact.type == KIND]
    if not written:
        return ""
    rows = ["## Files from answers", "", "| file | bytes | SHA-256 |", "|---|---|---|"]
    rows += [
        f"| `{_cell(path_in_tree(each))}` | {each.size_bytes} | `{each.hash[:16]}…` |" for each in written
    ]
    return "\n".join(rows)


def _finding_list(report: RunReport) -> str:
    remaining = [recorded for recorded in report.findings if not recorded.resolved]
    solved = len(report.findings) - len(remaining)
    if not report.findings:
        return "## Findings\n\nNone."
    lines = ["## Findings", "", f"{len(remaining)} open, {solved} resolved.", ""]
    order = list(Severity)
    for recorded in sorted(remaining, key=lambda r: order.index(r.finding.severity)):
        finding = recorded.finding
        age = "new" if recorded.is_new else "also on the base"
        if finding.sources:
            age = f"by {', '.join(finding.sources)}"
        place = f"`{_cell(finding.location)}` " if finding.location else ""
        lines.append(f"- {finding.severity} {finding.category} ({age}): {place}{_plain(finding.message)}")
    return "\n".join(lines).rstrip()


def _intervention_list(report: RunReport) -> str:
    if not report.interventions:
        return ""
    lines = ["## For a person", ""]
    for item in report.interventions:
        lines.append(f"- {item.status}: {_plain(item.reason)} — {_plain(item.action_required)}")
    return "\n".join(lines)


def _next_commands(run: Run) -> str:
    commands = "\n".join(next_commands(run))
    return f"## Next\n\n```\n{commands}\n```" if commands else ""


def next_commands(run: Run) -> tuple[str, ...]:
    """Returns the commands that make sense for a run as it stands, most useful first."""
    progress = run.metadata.progress
    look = (f"orchestrator diff {run.id}",)
    if run.status is RunStatus.COMPLETED:
        if progress.merged:
            return (*look, "orchestrator undo")
        if progress.branch is not None:
            return (*look, f"orchestrator merge {run.id}", f"orchestrator discard {run.id}")
        return look if progress.result is not None else ()
    shown = (f"orchestrator findings {run.id}", f"orchestrator log {run.id}")
    if run.status is RunStatus.CANCELLED:
        return (*look, "orchestrator undo")
    return (*shown, *look, f"orchestrator resume {run.id}")


def _check_line(data: JsonObject) -> CheckLine:
    duration = data.get("duration_s")
    return CheckLine(
        name=_text(data.get("name")),
        command=_text(data.get("command")),
        status=_text(data.get("status")),
        duration_s=float(duration) if isinstance(duration, int | float) else 0.0,
    )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _plain(text: str) -> str:
    """Returns one line in which nothing is Markdown or HTML."""
    line = " ".join(text.split())
    return "".join("\\" + character if character in "\\`*_[]<>|#" else character for character in line)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")


def _quote(text: str) -> str:
    return "\n".join(f"> {_plain(line)}" for line in text.strip().splitlines())
