"""Agents that speak ACP, the Agent Client Protocol: one adapter for all of them.

Only `conversation` imports the SDK and asyncio, and only while a turn runs.
"""
