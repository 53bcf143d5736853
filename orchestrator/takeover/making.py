"""Makes `.orchestrator/` as `init` does: its layout, and the schema that editors read."""

from __future__ import annotations

import os

from orchestrator.config.json_schema import packaged
from orchestrator.config.template import SCHEMA_NAME
from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.layout import create_layout


def make(
    paths: OrchestratorPaths, *, private: bool = False, workflow: bytes | None = None
) -> tuple[str, ...]:
    """Makes what is missing of `.orchestrator/`, durable, and returns its names.

    Raises:
        Refused: the directory is foreign, newer, a link or a file.
    """
    disk = Disk()
    made = create_layout(paths, disk, private=private, workflow_yaml=workflow)
    schema = paths.orchestrator_dir / SCHEMA_NAME
    if os.path.lexists(schema):
        return made
    disk.write(schema, packaged(), mode=0o644)
    return (*made, SCHEMA_NAME)
