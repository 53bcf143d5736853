"""Layered `workflow.yaml`: what may be written there, where values come from, what needs trust."""
