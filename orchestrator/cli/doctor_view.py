"""What `doctor` says of its checks. Standard library only, for the front door."""

from __future__ import annotations

from orchestrator.cli.terminal import Styled
from orchestrator.doctor.diagnosis import Status, worst

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.cli.screen import Screen
    from orchestrator.doctor.diagnosis import Answer
    from orchestrator.model.json import Json

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red", Status.SKIP: "dim"}
_ORDER = (Status.FAIL, Status.WARN, Status.OK, Status.SKIP)
_WELL = (Status.OK, Status.SKIP)


def tell(screen: Screen, answers: Sequence[Answer], *, everything: bool) -> int:
    """Prints the answers as text or as the object of CONTRACT.md, and returns the exit status."""
    if screen.as_json:
        screen.json({"worst": worst(answers), "checks": as_json(answers)})
    else:
        show(screen, answers, everything=everything)
    return exit_status(answers)


def exit_status(answers: Sequence[Answer]) -> int:
    """Returns 1 when a check failed, else 0."""
    return 1 if worst(answers) is Status.FAIL else 0


def as_json(answers: Sequence[Answer]) -> list[Json]:
    """Returns the `checks` of `doctor --json`."""
    return [
        {
            "id": answer.check.id,
            "group": answer.check.group,
            "status": answer.diagnosis.status,
            "summary": answer.diagnosis.summary,
            "evidence": list(answer.diagnosis.evidence),
            "remedy": answer.diagnosis.remedy,
            "fixable": answer.diagnosis.fixable,
        }
        for answer in answers
    ]


def show(screen: Screen, answers: Sequence[Answer], *, everything: bool) -> None:
    """Prints what is wrong, the worst first; all of it where `everything`."""
    counts = dict.fromkeys(_ORDER, 0)
    for answer in sorted(answers, key=lambda answer: _ORDER.index(answer.diagnosis.status)):
        found = answer.diagnosis
        counts[found.status] += 1
        if not everything and found.status in _WELL:
            continue
        word = f"{found.status:<5}"
        screen.out(Styled(word, _STYLES[found.status]), f"{answer.check.id}: {found.summary}")
        for line in found.evidence:
            screen.out("        ", " ".join(line.split("\n")))
        if found.remedy:
            screen.out("      ", Styled("fix: ", "cyan"), found.remedy)
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    screen.out(f"{len(answers)} checks: {', '.join(parts)}.")
