"""Runs coding agents in isolated git trees, checks what they leave, and hands over a branch."""

__version__ = "0.1.0"
