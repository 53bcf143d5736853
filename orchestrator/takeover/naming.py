"""Names of what is taken over: each derives from the earlier one, so that importing twice finds it again."""

from __future__ import annotations

import hashlib
import re

from orchestrator.model.ids import InterventionId, PhaseId, RunId, parse_run_id

_OWN = re.compile(r"wf_([0-9a-f]{8})")
_PHASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SLUG_CHARACTERS = 24


def run_id(workflow_id: str) -> RunId:
    """Returns the run id of a workflow: `wf_c7f12380` becomes `w-c7f12380`, anything else carries a hash."""
    own = _OWN.fullmatch(workflow_id)
    if own is not None:
        return parse_run_id(f"w-{own.group(1)}")
    slug = re.sub(r"[^a-z0-9]+", "-", workflow_id.lower()).strip("-")[:_SLUG_CHARACTERS].strip("-")
    return parse_run_id(f"w-{slug or 'x'}-{_digest(workflow_id)[:10]}")


def trace_id(workflow_id: str) -> str:
    """Returns what marks the run of a workflow, so that another run of the same id is not taken for it."""
    return f"legacy-{_digest(workflow_id)[:24]}"


def phase_id(text: str, position: int) -> PhaseId:
    """Returns an earlier phase's id where it can be one, else one made of its position (from 0)."""
    return PhaseId(text if _PHASE_ID.fullmatch(text) else f"phase-{position + 1:03d}")


def child_id(prefix: str, *parts: str) -> str:
    """Returns the id of a record that belongs to what `parts` name."""
    return f"{prefix}-{_digest(chr(0).join(parts))[:20]}"


def intervention_id(run: RunId, what: str) -> InterventionId:
    """Returns the id of a request to a person that was taken over into a run."""
    return InterventionId(child_id("ask", run, what))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
