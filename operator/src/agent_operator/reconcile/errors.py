"""Why an action of a plan was not carried out, though nothing is broken."""


class NotNowError(Exception):
    """The world is not as the plan took it to be: the next look decides anew."""


class ServiceTakenError(Exception):
    """Another AgentDeployment serves one of the services; it may be deleted one day."""


class AddressTakenError(Exception):
    """Another cluster has registered the revision's address at the same Restate."""
