"""Tests of the room process, with real processes."""
