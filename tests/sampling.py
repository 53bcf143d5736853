"""At which effects of something tests kill: a few, spread over all, by day; every one in the long run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest

Each = TypeVar("Each")
FEW = 6
EVERY = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])


def spread(found: Sequence[Each], number: int) -> list[Each]:
    """Returns that many points, the first and the last among them, evenly spread."""
    if len(found) <= number:
        return list(found)
    return [found[at * (len(found) - 1) // (number - 1)] for at in range(number)]


def points(total: int, *, every: bool, few: int = FEW) -> list[int]:
    """Returns the numbers of the effects to kill at, from 1."""
    return spread(range(1, total + 1), total if every else few)
