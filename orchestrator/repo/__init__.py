"""Git: the user's repository, the isolated trees of agents, checkpoints, results and merges."""
