"""Adapters that start coding agents and report what happens; they judge nothing."""
