"""The table of names under `.orchestrator/` and under `refs/`: the only place where they are spelled out."""

DIRECTORY = ".orchestrator"
IGNORE = ".gitignore"
LAYOUT = "layout.json"
LAYOUT_VERSION = 1
"""The version of these names, which `layout.json` carries; the next needs an upgrade in `migrate/layouts`."""
PLACE = "place.json"
CLONE = "clone.json"
CONFIG = "workflow.yaml"
LOCAL_CONFIG = "workflow.local.yaml"
PROPOSED_CONFIG = "workflow.proposed.yaml"
SCHEMA = "workflow.schema.json"
PROMPTS = "prompts"
LAYOUTS = "layouts"
STATE = "state.db"
BACKUPS = "backups"
CHECKPOINTS = "checkpoints"
ARTIFACTS = "artifacts"
WORKTREES = "worktrees"
INDEX = "index"
AGENTS = "agents"
SECRETS = "secrets"
SESSIONS = "sessions"
LOCKS = "locks"
MIGRATIONS = "migrations"
QUARANTINE = "quarantine"
LOGS = "logs"
LOG = "orchestrator.log"
TMP = "tmp"
IDENTITY = "identity.json"
HEARTBEAT = "heartbeat"
DISK_USE = "disk-use"

TEMP_PREFIX = ".tmp-orchestrator-"
"""What the name of every file begins with that is about to become another."""

COMMITTABLE = frozenset({IGNORE, LAYOUT, CONFIG, PROMPTS, LAYOUTS, SECRETS})
"""What a clone may hold of `.orchestrator/`: a directory with these alone is ours, not yet initialised."""

STATE_FILES = (STATE, STATE + "-wal", STATE + "-shm", STATE + "-journal")
"""The database and the files that SQLite keeps beside it."""

KNOWN = COMMITTABLE | {
    PLACE,
    CLONE,
    LOCAL_CONFIG,
    PROPOSED_CONFIG,
    SCHEMA,
    *STATE_FILES,
    BACKUPS,
    CHECKPOINTS,
    ARTIFACTS,
    WORKTREES,
    INDEX,
    AGENTS,
    SESSIONS,
    LOCKS,
    MIGRATIONS,
    QUARANTINE,
    LOGS,
    TMP,
    DISK_USE,
}
"""Every name that this tool may make or expect directly under `.orchestrator/`."""

RUN_REFS = "refs/orchestrator/runs/"
RESULT_REFS = "refs/orchestrator/results/"
BASE_REFS = "refs/orchestrator/bases/"
ARCHIVE_REFS = "refs/orchestrator/archive/"
"""One ref a month (`yyyy-mm`), under which pruned runs stay reachable."""
DISCARDED_REFS = "refs/orchestrator/discarded/"
"""Where the results of discarded runs stay reachable."""
BRANCHES = "refs/heads/orchestrator/"
SESSION_REFS = "refs/orchestrator/sessions/"
FORK_REFS = "refs/orchestrator/forks/"
INCOMING_REFS = "refs/orchestrator/incoming/"
STATE_BRANCHES = "refs/heads/orchestrator/state/"
