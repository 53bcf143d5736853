"""Keeps runs, their events and the user's operations in one SQLite database per workspace."""
