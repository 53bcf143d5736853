"""Tests of the room fs, on real disks and with real processes."""
