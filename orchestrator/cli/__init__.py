"""Parses what the user typed, calls one room, renders the answer. The only room that prints."""
