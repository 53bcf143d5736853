"""All quick checks, in the order in which they are carried out and shown."""

from __future__ import annotations

from orchestrator.doctor.isolation import answered
from orchestrator.doctor.quick import place, repository, surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.doctor.diagnosis import Answer, QuickCheck
    from orchestrator.doctor.surface import Surface

QUICK: tuple[QuickCheck, ...] = (
    *repository.CHECKS,
    *place.CHECKS,
    *repository.GIT_CHECKS,
    *place.STATE_CHECKS,
    *surroundings.CHECKS,
)


def look(surface: Surface) -> tuple[Answer, ...]:
    """Returns the answer of every quick check.

    Raises:
        LookCloser: something was met that only the full `doctor` can judge.
    """
    return tuple(_one(check, surface) for check in QUICK)


def _one(check: QuickCheck, surface: Surface) -> Answer:
    return answered(check, lambda: check.probe(surface))
