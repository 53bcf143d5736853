"""How much of a run's allowed time is left, counted over all its attempts."""

from __future__ import annotations

from orchestrator.engine.work import Work


def remaining_s(work: Work) -> float:
    """Returns the seconds that agents may still work; infinite without `--max-time`."""
    metadata = work.run.metadata
    if metadata.options.max_time_s is None:
        return float("inf")
    allowed_s = metadata.options.max_time_s + metadata.progress.extra_time_s
    used_s = sum(e.progress.usage.wall_s for e in work.context.state.get_executions(work.run_id))
    used_s += metadata.progress.planning.wall_s
    return max(0.0, allowed_s - used_s)


def is_used_up(work: Work) -> bool:
    """Returns whether no time is left for another attempt."""
    return remaining_s(work) <= 0.0
