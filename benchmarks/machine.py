"""What the measurements depend on, without a name of the machine or of a place on it."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from datetime import UTC, datetime


def describe() -> dict[str, str]:
    """Returns the facts that stand above a table of results."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"\d+\.\d+(\.\d+)?", git)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": f"{os.cpu_count()} ({platform.machine()})",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "git": version[0] if version else "?",
        "sqlite": sqlite3.sqlite_version,
    }


def load() -> str:
    """Returns the load average of the last minute."""
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except OSError:
        return "unknown"
