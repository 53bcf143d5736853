"""Installs the pinned agents, one npm prefix each: `python -m tests.real.installing` (`make agents`).

Apart from the tests, because this needs the network and those must not have it. What cannot be installed is
recorded with the reason; its tests are skipped with that reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.real.places import AGENTS, PINNED, RECORD

_LIMIT_S = 300
# Not `npm ci`: it refuses a lock that lacks an optional package of another platform, and some registries do
# not have them all. Versions and hashes are taken from the lock all the same.
_INSTALL = ("install", "--no-save", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


def main() -> int:
    """Installs what is not there yet and returns 0, whatever came of it: the record tells."""
    AGENTS.mkdir(parents=True, exist_ok=True)
    record = {pinned.name: _install(pinned) for pinned in sorted(PINNED.iterdir()) if pinned.is_dir()}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    return 0


def _install(pinned: Path) -> Mapping[str, str]:
    version = next(iter(json.loads((pinned / "package.json").read_text())["dependencies"].values()))
    begun = time.monotonic()
    reason = "" if _is_there(pinned) else _npm(pinned)
    said = f"not installed: {reason}" if reason else f"{version}, {time.monotonic() - begun:.0f} s"
    print(f"{pinned.name}: {said}", flush=True)
    return {"version": version, "reason": reason}


def _is_there(pinned: Path) -> bool:
    stamp = AGENTS / pinned.name / ".installed"
    return stamp.is_file() and stamp.read_text() == _digest(pinned)


def _digest(pinned: Path) -> str:
    return hashlib.sha256((pinned / "package-lock.json").read_bytes()).hexdigest()


def _npm(pinned: Path) -> str:
    """Returns why the agent could not be installed; empty when it was."""
    if sys.platform != "linux":
        return "its tests need network namespaces, which exist on Linux alone"
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not on PATH"
    place = AGENTS / pinned.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for file in pinned.iterdir():
        shutil.copy(file, place)
    try:
        done = subprocess.run(
            [npm, *_INSTALL], cwd=place, capture_output=True, text=True, timeout=_LIMIT_S, env=_environment()
        )
    except subprocess.TimeoutExpired:
        return f"npm took longer than {_LIMIT_S} s"
    if done.returncode != 0:
        return f"npm ended with {done.returncode}: {' '.join(done.stderr.split())[:300]}"
    (place / ".installed").write_text(_digest(pinned))
    return ""


def _environment() -> dict[str, str]:
    # npm needs the user's own settings: which registry, which proxy.
    return {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}


if __name__ == "__main__":
    sys.exit(main())
