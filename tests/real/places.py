"""Where the agents are, and where their tests leave what they leave."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

PINNED = HERE / "npm"
"""One directory for each npm prefix, with the versions and hashes of all its packages, without addresses."""

BUILD = ROOT / "build"
AGENTS = BUILD / "agents"
RECORD = AGENTS / "installed.json"
"""What `make agents` came to: version, and the reason where one could not be installed."""

# Not below the temporary directory: there codex 0.169.0 refuses to set its sandbox up.
SCENES = BUILD / "real"
OUTCOMES = SCENES / "outcomes"

RESULTS = HERE / "results.json"
"""The outcomes of a whole run, as docs/agents.md shows them."""

PAGE = ROOT / "docs" / "agents.md"
