"""The only starter of child processes: short helpers, supervised agents, and what a crash left running."""
