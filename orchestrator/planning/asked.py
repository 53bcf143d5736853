"""Asks somebody for a plan, shows what is wrong with it, and asks again; knows no agent."""

from __future__ import annotations

import json
from collections.abc import Callable

from orchestrator.errors import PlanInvalid
from orchestrator.model.json import Json
from orchestrator.model.loose_json import found_in
from orchestrator.model.plan import Plan, PlanRequest
from orchestrator.model.prompt import fill, quoted
from orchestrator.planning.plan_file import parse_plan

MAX_REPAIRS = 2
"""How often it is asked again after an answer that is no plan."""

ANSWER_FORMAT = """\
Answer with the plan as JSON in one block like this one, and say nothing after it:

```json
{"phases": [
  {"id": "phase-001", "name": "a few words",
   "description": "What is to be done, for somebody who sees nothing else.",
   "dependencies": [], "estimated_complexity": "low", "risk_level": "low",
   "verification_criteria": ["What can be seen when it is done."]}
]}
```

Each phase is worked on and checked by itself, in one directory, in an order that respects
`dependencies` (ids of other phases; no cycles).
Complexity and risk are low, medium or high. Use as few phases as make sense;
one is fine. These keys and no others."""
"""What a planner is told about the form of its answer."""

_MAX_FILES = 8_000
_MAX_ANSWER = 8_000

Ask = Callable[[str], str | None]
"""Takes a prompt and returns the answer, None when the work was stopped meanwhile."""


class AskingPlanner:
    """Gets a plan by asking; implements `ports.Planner`. `on_refused` hears why an answer was no plan."""

    def __init__(
        self, ask: Ask, template: str, *, on_refused: Callable[[str], None] = lambda reason: None
    ) -> None:
        self._ask = ask
        self._template = template
        self._on_refused = on_refused

    def plan(self, request: PlanRequest) -> Plan | None:
        """Returns the first usable plan of three answers at most, None when the work was stopped.

        Raises:
            PlanInvalid: none of them was usable; says what is wrong with the last.
        """
        problem = reason = ""
        for _ in range(1 + MAX_REPAIRS):
            answer = self._ask(self._prompt(request, problem))
            if answer is None:
                return None
            try:
                return plan_in(answer)
            except PlanInvalid as error:
                reason = error.message
                self._on_refused(reason)
                problem = _complaint(reason, answer)
        raise PlanInvalid(f"No usable plan came of {1 + MAX_REPAIRS} answers. The last: {reason}")

    def _prompt(self, request: PlanRequest, problem: str) -> str:
        files = "\n".join(request.files)
        values = {
            "task": request.task,
            "files": quoted(files, "These are its files.", limit=_MAX_FILES) if files else "",
            "checks": "\n".join(["These checks decide:", *(f"- {line}" for line in request.checks)])
            if request.checks
            else "",
            "answer_format": ANSWER_FORMAT,
            "problem": problem,
        }
        prompt = fill(self._template, values)
        missing = [
            values[name] for name in ("answer_format", "problem") if f"{{{name}}}" not in self._template
        ]
        return "\n".join([prompt, *(f"{text}\n" for text in missing if text)])


def plan_in(answer: str) -> Plan:
    """Returns the plan in an answer: JSON alone, in a block, or among prose.

    Raises:
        PlanInvalid: there is none, or it is none that could be executed.
    """
    found = found_in(answer, _document, alone=lambda value: isinstance(value, list))
    if not found:
        raise PlanInvalid("The answer holds no JSON object with `phases`.")
    return parse_plan(json.dumps(found[-1]).encode())


def _document(value: Json) -> dict[str, Json] | None:
    if isinstance(value, dict) and "phases" in value:
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) and "id" in each for each in value):
        return {"phases": value}
    return None


def _complaint(reason: str, answer: str) -> str:
    before = quoted(answer, "This was your answer.", limit=_MAX_ANSWER) if answer.strip() else ""
    asked = f"You were asked before, and your answer cannot be used: {reason} Answer again, as a whole."
    return f"{asked}\n\n{before}".strip()
