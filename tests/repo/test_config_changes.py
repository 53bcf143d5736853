from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.discovery import locate
from orchestrator.repo.config_changes import changed_keys
from orchestrator.repo.fingerprint import differences
from orchestrator.repo.repository import Repository
from tests.conftest import GitCall

BEFORE = b'[core]\n\tbare = false\n[remote "origin"]\n\turl = a\n\tfetch = x\n\tfetch = y\n'


@pytest.mark.parametrize(
    ("after", "keys"),
    [
        (BEFORE, ()),
        (BEFORE.replace(b"url = a", b"url = b"), ("remote.origin.url",)),
        (BEFORE.replace(b"\tfetch = y\n", b""), ("remote.origin.fetch",)),
        (BEFORE + b"[core]\n\thooksPath = /tmp\n", ("core.hookspath",)),
        (b"", ("core.bare", "remote.origin.fetch", "remote.origin.url")),
        (b"[broken\n", ()),
        (BEFORE + b"[include]\n\tpath = /etc/passwd\n", ("include.path",)),
    ],
)
def test_keys_that_differ_are_named(after: bytes, keys: tuple[str, ...]) -> None:
    assert tuple(key.lower() for key in changed_keys(BEFORE, after)) == keys


def test_a_changed_configuration_is_reported_by_its_keys(repository: Path, git: GitCall) -> None:
    seen = Repository(locate(str(repository)), trusted=False)
    before = seen.fingerprint()

    git(repository, "config", "user.name", "intruder")

    assert "the configuration changed in: user.name" in differences(before, seen.fingerprint())


def test_a_configuration_that_is_no_file_has_no_keys(repository: Path, git: GitCall) -> None:
    seen = Repository(locate(str(repository)), trusted=False)
    before = seen.fingerprint()
    config = repository / ".git" / "config"
    text = config.read_bytes()
    config.write_bytes(text + b"#" * (1 << 20))

    told = differences(before, seen.fingerprint())

    config.write_bytes(text)
    assert "the configuration changed" in told
