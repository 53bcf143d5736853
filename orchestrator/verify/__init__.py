"""Runs checks on exactly one tree and turns what they print into findings and an assessment."""
