"""Machines that do not last: whose state is used, what is saved elsewhere and comes back, what may go."""
