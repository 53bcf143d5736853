"""The planner of runs that ask nobody."""

from __future__ import annotations

from orchestrator.model.plan import Plan, PlanRequest, single_phase


class SinglePhase:
    """Treats the whole task as one phase; implements `ports.Planner`."""

    def plan(self, request: PlanRequest) -> Plan:
        """Returns the plan of one phase."""
        return single_phase(request.task)
