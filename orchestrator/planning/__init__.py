"""Turns a task and its context into a plan."""
