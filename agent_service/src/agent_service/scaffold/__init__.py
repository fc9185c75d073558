"""Makes projects: ``python -m agent_service new my-agent``."""
