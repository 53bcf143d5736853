"""Machines that do not last: where we are, whose state tree is used, what may be removed."""
