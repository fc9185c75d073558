"""Runs ADK evaluation sets as turns on a real Restate: ``python -m agent_service.evaluate``."""
