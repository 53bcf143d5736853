"""The command attacked from outside: killed, crowded, out of space, cut off from power."""
