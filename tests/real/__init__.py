"""The real agents, offline: installed from npm, run in a network namespace that holds loopback alone."""
