"""Starts child processes: short helpers (`captured`), agents and checks under a supervisor (`supervise`)."""

from __future__ import annotations

from orchestrator.process.asked import Captured, minimal_environment
from orchestrator.process.captured import run_captured
from orchestrator.process.command import Cause, Command, Ended, Limits
from orchestrator.process.supervised import supervise

__all__ = [
    "Captured",
    "Cause",
    "Command",
    "Ended",
    "Limits",
    "minimal_environment",
    "run_captured",
    "supervise",
]
