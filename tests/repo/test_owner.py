from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.repo.git import find_repository
from tests.conftest import GitCall


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_checkout_of_somebody_else_counts_once_the_user_calls_it_safe(
    repository: Path, git: GitCall, home: Path
) -> None:
    os.chown(repository, 12345, 12345)
    os.chown(repository / ".git", 12345, 12345)

    with pytest.raises(Refused) as refused:
        find_repository(str(repository), {})
    git(home, "config", "--global", "--add", "safe.directory", str(repository))
    located = find_repository(str(repository), {})

    assert refused.value.code == "unsafe-owner"
    assert "safe.directory" in refused.value.hint
    assert located.checkout == str(repository.resolve())
