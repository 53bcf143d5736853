"""Frozen values of the domain; no input or output happens here."""
