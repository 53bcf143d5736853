from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import Failed
from orchestrator.process.spawn import minimal_environment, run_captured


def test_a_helper_gets_its_input_and_its_output_and_status_come_back(tmp_path: Path) -> None:
    done = run_captured(
        ["sh", "-c", "cat; echo err >&2; exit 7"],
        cwd=tmp_path,
        environment=minimal_environment({}),
        input=b"x" * 300_000,
        timeout_s=20,
    )

    assert (done.status, done.stdout, done.stderr) == (7, b"x" * 300_000, b"err\n")


def test_a_helper_past_its_time_is_killed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="took longer") as failure:
        run_captured(["sleep", "60"], cwd=tmp_path, environment=minimal_environment({}), timeout_s=0.2)

    assert failure.value.code == "timed-out"
