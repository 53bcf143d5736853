"""`sessions restore`: brings a session back that was saved at the remote."""

from __future__ import annotations

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import Refused


def bring_back(call: Invocation, session: str | None) -> int:
    """Restores a session by its id, or the one that was saved last, and says what came back.

    Raises:
        Refused: `session-id-invalid`, `nothing-saved`, or `remote-unknown`.
        Failed: `remote-unreachable`.
    """
    from orchestrator.cli.elsewhere import restore_from_remote, tell
    from orchestrator.paths import OrchestratorPaths

    if session is not None:
        OrchestratorPaths(call.directory).session_dir(session)
    restored = restore_from_remote(call, session=session)
    tell(call, restored)
    if not restored.session:
        what = f"session {session}" if session else "any session"
        raise Refused(
            f"Nothing that can be used was saved of {what} at the remote.",
            code="nothing-saved",
            hint="See which runs were saved there: git ls-remote origin 'refs/orchestrator/*'",
        )
    if call.screen.as_json:
        call.screen.json(restored.as_json())
    if not restored.runs and not restored.problems:
        call.screen.out(f"Session {restored.session} is here already.")
    for run_id, status in restored.runs.items():
        call.screen.out(f"{run_id}  {status}")
    return 0
