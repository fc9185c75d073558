"""Why an action of a plan was not carried out, though nothing is broken."""


class NotNowError(Exception):
    """The world is not as the plan took it to be: the next look decides anew."""


class ServiceTakenError(Exception):
    """Another AgentDeployment serves one of the services; it may be deleted one day."""


class NameTakenError(NotNowError):
    """A name is in use by an object that isn't ours, which is left alone."""
