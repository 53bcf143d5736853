"""Names every path under `.orchestrator/`; touches no file."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.paths import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path  # 8 ms that the front door, which needs the names alone, does not pay

__all__ = ["OrchestratorPaths", "is_session_id"]


def is_session_id(text: str) -> bool:
    """Returns whether `text` is 1-64 of `[A-Za-z0-9_-]`, starting alphanumeric, so that it cannot escape."""
    body = text.replace("_", "a").replace("-", "a")
    return 0 < len(text) <= 64 and text.isascii() and body.isalnum() and text[0].isalnum()


class OrchestratorPaths:
    """Names every path under `.orchestrator/`; touches no file.

    `base_dir` is the root of the checkout that holds `.orchestrator/`. With `web_mode` each session has a
    state tree of its own under `sessions/<id>`; configuration, secrets and repository-wide locks stay shared.
    `session_id` chooses the session whose state tree the other attributes name; without one they name the
    state tree directly under `.orchestrator/`.
    """

    def __init__(
        self, base_dir: Path | str = ".", web_mode: bool = False, session_id: str | None = None
    ) -> None:
        from pathlib import Path

        self.base_dir = Path(base_dir)
        self.web_mode = web_mode
        self.session_id = session_id
        root = self.base_dir / names.DIRECTORY
        self.orchestrator_dir = root
        self.sessions_dir = root / names.SESSIONS
        self._name_shared(root)
        self._name_state(root if session_id is None else self.session_dir(session_id))

    def _name_shared(self, root: Path) -> None:
        self.ignore_file = root / names.IGNORE
        self.layout_file = root / names.LAYOUT
        self.clone_file = root / names.CLONE
        self.config_file = root / names.CONFIG
        self.local_config_file = root / names.LOCAL_CONFIG
        self.proposed_config_file = root / names.PROPOSED_CONFIG
        self.prompts_dir = root / names.PROMPTS
        self.layouts_dir = root / names.LAYOUTS
        self.index_dir = root / names.INDEX
        self.agents_dir = root / names.AGENTS
        self.secrets_dir = root / names.SECRETS
        self.locks_dir = root / names.LOCKS
        self.migrations_dir = root / names.MIGRATIONS

    def _name_state(self, tree: Path) -> None:
        self.state_dir = tree
        self.state_file = tree / names.STATE
        self.backups_dir = tree / names.BACKUPS
        self.checkpoints_dir = tree / names.CHECKPOINTS
        self.artifacts_dir = tree / names.ARTIFACTS
        self.worktrees_dir = tree / names.WORKTREES
        self.run_locks_dir = tree / names.LOCKS
        self.quarantine_dir = tree / names.QUARANTINE
        self.logs_dir = tree / names.LOGS
        self.log_file = tree / names.LOGS / names.LOG
        self.tmp_dir = tree / names.TMP
        self.disk_use_file = tree / names.DISK_USE
        self.identity_file = tree / names.IDENTITY
        self.heartbeat_file = tree / names.HEARTBEAT

    def of_session(self, session_id: str) -> OrchestratorPaths:
        """Returns the paths of another session of the same `.orchestrator/`."""
        return OrchestratorPaths(self.base_dir, True, session_id)

    def of_root(self) -> OrchestratorPaths:
        """Returns the paths of the state tree that belongs to no session of its own."""
        return OrchestratorPaths(self.base_dir)

    def session_dir(self, session_id: str) -> Path:
        """Returns the directory that holds one session's state.

        Web mode: `sessions/<session_id>`; otherwise every session shares `orchestrator_dir`.
        The directory may not exist: this class names paths, `orchestrator.fs` makes them.

        Raises:
            Refused: not 1-64 of `[A-Za-z0-9_-]` starting alphanumeric, so it could escape or collide.
        """
        if not is_session_id(session_id):
            raise Refused(
                f"{session_id!r} cannot be a session id.",
                code="session-id-invalid",
                hint="Use up to 64 of A-Z, a-z, 0-9, _ and -, starting with a letter or digit.",
            )
        return self.sessions_dir / session_id if self.web_mode else self.orchestrator_dir

    def run_lock(self, run_id: str) -> Path:
        """Returns the lock file that the owner of a run holds while it works."""
        return self.run_locks_dir / f"run-{run_id}.lock"

    def agent_home(self, agent: str) -> Path:
        """Returns where an agent's own state is (sessions, settings, logins) when it is contained."""
        return self.agents_dir / agent

    def run_artifacts_dir(self, run_id: str) -> Path:
        """Returns the directory of a run's transcripts, check outputs and reports."""
        return self.artifacts_dir / run_id

    def checkpoint_manifest(self, run_id: str) -> Path:
        """Returns the readable list of a run's checkpoints, derived from the refs."""
        return self.checkpoints_dir / f"{run_id}.json"
