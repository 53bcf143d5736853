"""Whether the user agreed that state is pushed to one exact address; kept in the user's own directory.

Nothing of a repository can give it: what an agent could push there would otherwise be up to the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.repo.history import read_small

_NAME = re.compile(r"[0-9a-f]{64}\.json")
_PASSWORD = re.compile(r"(?<=://)[^/]*@")


def user_consent_directory() -> Path:
    """Returns the directory of the user's consents."""
    import platformdirs  # only callers that look for consents pay for it

    return platformdirs.user_state_path("orchestrator", appauthor=False) / "push"


def shown_url(url: str) -> str:
    """Returns an address without the name and password that may stand in it."""
    return _PASSWORD.sub("", url)


class ConsentStore:
    """The addresses to which the user lets state be pushed, one file each (0600) in a directory (0700)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def holds_any(self) -> bool:
        """Returns whether there is a consent at all: without one no remote need be looked at."""
        try:
            return any(_NAME.fullmatch(name) for name in os.listdir(self._directory))
        except OSError:
            return False

    def is_given(self, url: str) -> bool:
        """Returns whether the user agreed to exactly this address.

        Raises:
            Refused: `consent-store-unsafe`: others could have written it.
        """
        if not self._is_usable():
            return False
        try:
            record = json.loads(read_small(self.file_of(url)))
        except ValueError:
            return False
        return isinstance(record, dict) and record.get("schema_version") == 1

    def give(self, url: str) -> None:
        """Records that the user agreed to this address; durable when it returns.

        Raises:
            Refused: `consent-store-unsafe`: others could have written it.
        """
        disk = Disk()
        disk.make_dir(self._directory, mode=0o700)
        self._is_usable()
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        record = {"schema_version": 1, "url": shown_url(url), "at": at}
        disk.write(self.file_of(url), json.dumps(record, indent=1).encode() + b"\n")

    def withdraw(self, url: str) -> bool:
        """Takes a consent back; returns whether there was one."""
        if not self.is_given(url):
            return False
        Disk().remove(self.file_of(url))
        return True

    def file_of(self, url: str) -> Path:
        """Returns where the consent to an address is, or would be."""
        digest = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()
        return self._directory / f"{digest}.json"

    def _is_usable(self) -> bool:
        try:
            facts = os.lstat(self._directory)
        except OSError:
            return False
        mine = not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()
        others_write = os.name == "posix" and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISDIR(facts.st_mode) or others_write or not mine:
            raise Refused(
                f"{self._directory} is not a directory that only you can write.",
                code="consent-store-unsafe",
                hint=f"Look at it, then: chmod 700 {self._directory}",
            )
        return True
