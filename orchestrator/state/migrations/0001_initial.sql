-- Times are ISO 8601 UTC with microseconds and Z; JSON columns hold one object or list each.

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    metadata TEXT NOT NULL,                          -- what is fixed when the run is created
    progress TEXT NOT NULL,                          -- what has been reached, replaced as a whole
    base TEXT NOT NULL,                              -- metadata's base again, for readers that parse no JSON
    trace_id TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0      -- apart from progress: another process than the owner sets it
);
CREATE INDEX runs_by_status ON runs (status, created_at);
CREATE INDEX runs_by_time ON runs (created_at);

CREATE TABLE phases (
    run_id TEXT NOT NULL REFERENCES runs (id),
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    dependencies TEXT NOT NULL,                      -- JSON list of phase ids
    estimated_complexity TEXT NOT NULL,
    risk_level TEXT NOT NULL,
    verification_criteria TEXT NOT NULL,             -- JSON list
    retries INTEGER NOT NULL,
    max_retries INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    PRIMARY KEY (run_id, id)
);

CREATE TABLE executions (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    phase_id TEXT NOT NULL,
    attempt_number INTEGER NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    created_at TEXT NOT NULL,
    completed_at TEXT,
    progress TEXT NOT NULL,
    UNIQUE (run_id, phase_id, attempt_number),
    FOREIGN KEY (run_id, phase_id) REFERENCES phases (run_id, id)
);

CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL REFERENCES executions (id),
    run_id TEXT NOT NULL REFERENCES runs (id),
    severity TEXT NOT NULL,
    category TEXT NOT NULL,
    message TEXT NOT NULL,
    location TEXT NOT NULL,                          -- file:line, file, or empty
    rule TEXT NOT NULL,
    context TEXT NOT NULL,
    identity TEXT NOT NULL,
    is_new INTEGER NOT NULL,
    resolved INTEGER NOT NULL DEFAULT 0,
    resolved_at TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX findings_by_run ON findings (run_id, resolved);
CREATE INDEX findings_by_execution ON findings (execution_id);

CREATE TABLE artifacts (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id),
    phase_id TEXT,
    name TEXT NOT NULL,
    path TEXT NOT NULL,                              -- relative to the artifacts directory
    type TEXT NOT NULL,
    size INTEGER NOT NULL,
    hash TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX artifacts_by_run ON artifacts (run_id);

CREATE TABLE manual_interventions (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id),
    phase_id TEXT,
    reason TEXT NOT NULL,
    action_required TEXT NOT NULL,
    status TEXT NOT NULL,
    note TEXT,
    resolved_at TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX interventions_by_run ON manual_interventions (run_id);
CREATE INDEX interventions_open ON manual_interventions (run_id) WHERE status = 'open';

-- A run's row may go one day (prune); the operation and the events that tell of it stay: no foreign keys here.
CREATE TABLE operations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    run_id TEXT,
    worktree TEXT NOT NULL,
    status TEXT NOT NULL,
    facts TEXT NOT NULL,
    created_at TEXT NOT NULL,
    completed_at TEXT
);
CREATE INDEX operations_by_worktree ON operations (worktree);
CREATE INDEX operations_by_run ON operations (run_id);
CREATE INDEX operations_intended ON operations (number) WHERE status = 'intended';

-- AUTOINCREMENT remembers the largest seq ever given: events cut off at the end are noticed.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_seq INTEGER NOT NULL,
    run_id TEXT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    duration_ms REAL,
    hash TEXT NOT NULL                               -- SHA-256 of the hash before and of this row
);
CREATE UNIQUE INDEX events_by_run ON events (run_id, run_seq);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_have_no_gaps BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT ifnull(max(seq), 0) + 1 FROM events)
BEGIN
    SELECT RAISE(ABORT, 'events are numbered without gaps');
END;
