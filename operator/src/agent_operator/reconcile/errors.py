"""Why an action of a plan was not carried out, though nothing is broken."""


class NotNowError(Exception):
    """The world is not as the plan took it to be: the next look decides anew."""


class ServiceTakenError(Exception):
    """Another AgentDeployment serves one of the services; it may be deleted one day."""


class AddressTakenError(Exception):
    """Another cluster has registered the revision's address at the same Restate."""


class GateSetupError(Exception):
    """A gate can't begin. ``final``: not before its spec changes."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class NameTakenError(NotNowError):
    """A name is in use by an object that isn't ours, which is left alone."""
