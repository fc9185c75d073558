"""Which revision took the new turns last, whether or not one takes them now. Pure.

``status.activeRevision`` says what is, and is gone as soon as a Restate lost its registrations or
somebody else took a service over. The history is not: its first entry is to take turns again.
"""

from agent_operator.api import AgentDeployment


def last_active(agent: AgentDeployment) -> str | None:
    """The name of the revision that took the new turns last."""
    history = agent.status.get("history") or ()
    return next(iter(history), None) or agent.status.get("activeRevision")
