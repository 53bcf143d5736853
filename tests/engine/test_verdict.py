from __future__ import annotations

import pytest

from orchestrator.engine.verdict import Evidence, reach_verdict
from orchestrator.model.verdict import Decision

OVER = ("1 major finding; 0 allowed.",)
BROKEN = ("test gave no answer: it timed out.",)

TABLE = [
    ("nothing objects", Evidence(), Decision.PROCEED),
    ("nothing objects on the last try", Evidence(retries=2, max_retries=2), Decision.PROCEED),
    ("nothing objects and no time is left", Evidence(out_of="time"), Decision.PROCEED),
    ("nothing objects to a deaf command", Evidence(can_learn=False), Decision.PROCEED),
    ("a threshold is exceeded, retries left", Evidence(over=OVER, max_retries=2), Decision.RETRY),
    (
        "a threshold is exceeded, last retry left",
        Evidence(over=OVER, retries=1, max_retries=2),
        Decision.RETRY,
    ),
    ("a threshold is exceeded, none left", Evidence(over=OVER, retries=2, max_retries=2), Decision.ABORT),
    ("no retry was ever allowed", Evidence(over=OVER), Decision.ABORT),
    ("a check gave no answer, retries left", Evidence(broken=BROKEN, max_retries=1), Decision.RETRY),
    ("a check gave no answer, none left", Evidence(broken=BROKEN), Decision.ABORT),
    (
        "the agent failed, retries left",
        Evidence(agent_failure="the agent failed", max_retries=1),
        Decision.RETRY,
    ),
    ("the agent failed, none left", Evidence(agent_failure="the agent failed"), Decision.ABORT),
    ("a deaf command would do the same", Evidence(over=OVER, max_retries=2, can_learn=False), Decision.ABORT),
    ("no time is left", Evidence(over=OVER, max_retries=2, out_of="time"), Decision.ASK),
    (
        "no time is left after a failure",
        Evidence(agent_failure="x", max_retries=2, out_of="time"),
        Decision.ASK,
    ),
]


@pytest.mark.parametrize(("case", "evidence", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_verdict_follows_from_the_evidence_alone(case: str, evidence: Evidence, expected: Decision) -> None:
    verdict = reach_verdict(evidence)

    assert verdict.decision is expected


def test_every_objection_is_among_the_reasons() -> None:
    evidence = Evidence(over=OVER, broken=BROKEN, agent_failure="the agent failed", max_retries=1)

    reasons = reach_verdict(evidence).reasons

    assert reasons == ("the agent failed", *OVER, *BROKEN)


def test_an_exit_status_of_zero_approves_nothing() -> None:
    evidence = Evidence(over=OVER, agent_failure=None)

    assert reach_verdict(evidence).decision is not Decision.PROCEED
