from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import PlanInvalid
from orchestrator.planning.plan_file import MAX_BYTES, parse_plan, read_plan


def document(*phases: dict[str, object]) -> bytes:
    return json.dumps({"phases": list(phases)}).encode()


def phase(name: str, *dependencies: str, **more: object) -> dict[str, object]:
    return {"id": name, "name": name, "description": "", "dependencies": list(dependencies), **more}


def test_phases_come_in_an_order_that_respects_their_dependencies(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(document(phase("b", "a"), phase("c", "b"), phase("a")))

    plan = read_plan(path)

    assert [p.id for p in plan.phases] == ["a", "b", "c"]


def test_all_documented_keys_are_read() -> None:
    entry = phase("p", estimated_complexity="high", risk_level="medium", verification_criteria=["it works"])

    [read] = parse_plan(document(entry)).phases

    assert (read.estimated_complexity, read.risk_level) == ("high", "medium")
    assert read.verification_criteria == ("it works",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (document(phase("a", "b"), phase("b", "a")), "cycle: a, b"),
        (document(phase("a", "a")), "cycle: a"),
        (document(phase("a", "ghost")), "Phase a depends on ghost"),
        (document(phase("a"), phase("a")), "Phase a occurs twice"),
        (document(phase("../a")), "'../a' cannot be a phase id"),
        (document(), "no phases"),
        (document(phase("a", risk_level="huge")), "phase a"),
        (document({"id": "a"}), "phase a"),
        (document(phase("a", surprise=1)), "surprise"),
        (b"{", "invalid"),
        (b"[]", "invalid"),
        (b"\xff\xfe", "invalid"),
    ],
)
def test_an_unusable_plan_is_refused_and_the_phase_named(data: bytes, said: str) -> None:
    with pytest.raises(PlanInvalid) as refused:
        parse_plan(data)

    assert said in refused.value.message
    assert refused.value.exit_status == 2


def test_a_missing_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanInvalid, match="cannot be read"):
        read_plan(tmp_path / "none.json")


def test_a_huge_plan_is_refused_without_being_parsed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b" " * (MAX_BYTES + 1))

    with pytest.raises(PlanInvalid, match="larger"):
        read_plan(path)
