"""Machines that do not last: what a run needs to go on elsewhere is saved there, and brought back."""
