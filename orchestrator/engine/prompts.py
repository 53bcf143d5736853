"""Words a step's prompt from its template: the task, what came before, and what others said, quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config.prompts import known_placeholders, template
from orchestrator.config.section import REVIEWING
from orchestrator.model.finding import Finding
from orchestrator.model.prompt import fill, placeholders, quoted
from orchestrator.model.run import Phase, StepOutput
from orchestrator.verify.review import ANSWER_FORMAT

MAX_FINDINGS = 50
MAX_OUTPUT = 8_000
"""Characters of a step's output that later prompts get."""
MAX_CHANGES = 40_000
_MAX_LIST = 40_000
_ANSWER = "answer_format"


@dataclass(frozen=True, slots=True)
class StepTask:
    """What one step asks for; `kind` is its task (`implement`), `prompt` replaces the run's text."""

    kind: str
    description: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a prompt can speak of.

    `templates` are the repository's own; `interruption` tells what befell the attempt that this one goes on
    with, and the patch of what that had changed; `changes` the patch since the phase began; `outputs` what
    was said in earlier steps; `findings` what checks and reviewers complain about.
    """

    task: str
    phase: Phase
    step: StepTask
    attempt: int = 1
    iteration: int = 1
    interruption: tuple[str, str] | None = None
    findings: Sequence[Finding] = ()
    outputs: Sequence[StepOutput] = ()
    changes: str = ""
    templates: tuple[tuple[str, str], ...] = ()


def step_prompt(context: StepContext) -> str:
    """Returns the prompt of one step of one attempt."""
    kind = context.step.kind
    text = template(kind, dict(context.templates))
    values = _values(context)
    if context.step.prompt is not None:
        values["task"] = fill(context.step.prompt, values).strip("\n")
    named = {each.name for each in placeholders(text)}
    prompt = fill(text, values)
    if kind in REVIEWING and _ANSWER not in named:
        prompt += f"\n{ANSWER_FORMAT}\n"
    return prompt


def wants_changes(step: StepTask, templates: tuple[tuple[str, str], ...]) -> bool:
    """Returns whether the prompt of a step speaks of the changes, which take time to be found out."""
    texts = (template(step.kind, dict(templates)), step.prompt or "")
    return any(each.name == "changes" for text in texts for each in placeholders(text))


def _values(context: StepContext) -> dict[str, str]:
    step, tasks = context.step, tuple(output.task for output in context.outputs)
    values = dict.fromkeys(known_placeholders((*tasks, step.kind)), "")
    for task in tasks:
        values[f"outputs.{task}"] = _outputs([each for each in context.outputs if each.task == task])
    return values | {
        "task": context.task,
        "kind": step.kind,
        "description": step.description or "",
        "phase": _phase(context),
        "criteria": _criteria(context.phase),
        "attempt": _attempt(context),
        "findings": _findings(context.findings),
        "outputs": _outputs([each for each in context.outputs if each.task not in REVIEWING]),
        "changes": _changes(context.changes),
        _ANSWER: ANSWER_FORMAT if step.kind in REVIEWING else "",
    }


def _phase(context: StepContext) -> str:
    plan = context.phase.plan
    if not plan.description or plan.description == context.task:
        return ""
    return f"This is phase {plan.id} ({plan.name}):\n{plan.description}"


def _criteria(phase: Phase) -> str:
    lines = [f"- {line}" for line in phase.plan.verification_criteria]
    return "\n".join(["It is done when:", *lines]) if lines else ""


def _attempt(context: StepContext) -> str:
    said = []
    if context.iteration > 1:
        said.append(f"This is round {context.iteration}. What was done before is in this directory.")
    if context.interruption is not None:
        said.append(_interrupted(*context.interruption))
    elif context.attempt > 1:
        said.append(f"This is attempt {context.attempt}. The work of the one before is in this directory.")
    return " ".join(said)


def _interrupted(befell: str, changed: str) -> str:
    told = f"An earlier attempt {befell}. Its work is in this directory; continue from it."
    if not changed:
        return f"{told} It had changed nothing yet."
    return told + "\n\n" + quoted(changed, "It had changed this so far.", limit=MAX_CHANGES)


def _changes(patch: str) -> str:
    return quoted(patch, "These are the changes so far.", limit=MAX_CHANGES) if patch else ""


def _outputs(outputs: Sequence[StepOutput]) -> str:
    """Returns what was said in the newest round that has any of these outputs."""
    newest = max((each.iteration for each in outputs), default=0)
    return "\n\n".join(
        quoted(each.text, f"{each.agent} answered in the step {each.task}:", limit=MAX_OUTPUT)
        for each in outputs
        if each.iteration == newest
    )


def _findings(findings: Sequence[Finding]) -> str:
    by_checks = [each for each in findings if not each.sources]
    by_reviewers = [each for each in findings if each.sources]
    parts = (
        _listed(by_checks, f"The checks found {len(by_checks)} problem(s) that must be solved."),
        _listed(by_reviewers, f"Reviewers found {len(by_reviewers)} problem(s)."),
    )
    return "\n\n".join(part for part in parts if part)


def _listed(findings: Sequence[Finding], said: str) -> str:
    if not findings:
        return ""
    lines = [_line(finding) for finding in findings[:MAX_FINDINGS]]
    if len(findings) > MAX_FINDINGS:
        lines.append(f"... and {len(findings) - MAX_FINDINGS} more")
    return quoted("\n".join(lines), said, limit=_MAX_LIST)


def _line(finding: Finding) -> str:
    place = f"{finding.location}: " if finding.location else ""
    told = ", ".join(finding.sources) or finding.rule
    message = " ".join(finding.message.split())
    return f"{finding.severity} {finding.category}: {place}{message}" + (f" [{told}]" if told else "")
