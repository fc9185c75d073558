"""Why an action did not work, in a word and in words, and whether trying again may help. Pure."""

from typing import Final

from agent_operator.kube.errors import KubeError
from agent_operator.reconcile.actions import Action, CreateRevision, revision_of
from agent_operator.reconcile.errors import (
    AddressTakenError,
    GateSetupError,
    NotNowError,
    ServiceTakenError,
)
from agent_operator.reconcile.snapshot import FailingAction, Setback
from agent_operator.restate.client import (
    UNREACHABLE,
    DiscoveryError,
    RestateUnavailableError,
)

UNEXPECTED: Final = "UnexpectedError"
# What a pod template says that can't be: the same answer for ever.
_INVALID: Final = 422


def of(action: Action, error: Exception) -> Setback:
    """What to tell of an action that did not work."""
    if isinstance(action, CreateRevision) and _is_invalid(error):
        return Setback("TemplateRefused", f"{error}; change the spec", final=True)
    return Setback(_reason(error), words(error))


def failing(action: Action, error: Exception) -> FailingAction | None:
    """What to tell of an action that keeps failing; nothing where it only isn't the time for it."""
    if isinstance(error, NotNowError):
        return None
    return FailingAction(type(action).__name__, revision_of(action), words(error))


def is_unexpected(error: Exception) -> bool:
    """Whether it is a defect of the operator: none of what an action is known to raise."""
    return _reason(error) == UNEXPECTED


def words(error: Exception) -> str:
    """What to tell of an error. Of one that nobody expects only its kind: it may quote anything."""
    if is_unexpected(error):
        kind = type(error).__name__
        return f"an error that the operator does not expect ({kind}); its log has the traceback"
    return str(error)


def _is_invalid(error: Exception) -> bool:
    return isinstance(error, KubeError) and error.status == _INVALID


def _reason(error: Exception) -> str:
    match error:
        case DiscoveryError():
            return "DiscoveryFailed"
        case RestateUnavailableError():
            return "RestateUnreachable" if error.reason == UNREACHABLE else error.reason
        case ServiceTakenError():
            return "ServiceTaken"
        case AddressTakenError():
            return "AddressTaken"
        case GateSetupError():
            return "GateCantRun"
        case NotNowError():
            return "NotNow"
        case KubeError():
            return "KubernetesRefused"
    return UNEXPECTED
