from __future__ import annotations

import json
import os
import subprocess
import sys
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.screen import encode
from orchestrator.model.json import Json


class Word(StrEnum):
    DONE = "done"


class Number(IntEnum):
    TWO = 2


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything)
def test_every_value_is_written_as_the_standard_library_writes_it(value: Json) -> None:
    assert encode(value) == json.dumps(value, separators=(",", ":"))


def test_members_of_enumerations_are_written_as_what_they_stand_for() -> None:
    assert encode({"status": Word.DONE, "count": Number.TWO, "pair": (1, True)}) == (
        '{"status":"done","count":2,"pair":[1,true]}'
    )


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_json_has_no_number_for_is_null(value: float) -> None:
    assert encode([value]) == "[null]"


def test_a_value_that_json_cannot_carry_is_an_error() -> None:
    with pytest.raises(TypeError, match="mappingproxy"):
        encode(MappingProxyType({"a": 1}))


def test_an_object_is_printed_without_importing_the_json_package() -> None:
    code = (
        "import sys; from orchestrator.cli.screen import Screen; Screen(as_json=True).json({'a': ['ö', 1]});"
        "sys.exit('json' in sys.modules)"
    )
    # Without the variables of the coverage tool, which imports json itself.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=Path("/"), env=environment)

    assert (done.returncode, done.stdout) == (0, b'{"schema_version":1,"a":["\\u00f6",1]}\n')
