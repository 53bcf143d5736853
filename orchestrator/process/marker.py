"""The name of the variable by which the processes of a run are known. Cheap to import, for the front door."""

MARKER = "ORCHESTRATOR_EXECUTION"
