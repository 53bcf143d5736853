"""Takes a run from its start to its report; everything it knows is in the state, so resuming is calling it again."""
