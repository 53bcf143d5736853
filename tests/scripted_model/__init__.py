"""A model server on loopback that answers from a script, for real agents and the built-in one."""
