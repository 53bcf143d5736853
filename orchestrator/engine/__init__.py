"""Takes a run from start to report; all it knows is in the state, so resuming is calling it again."""
