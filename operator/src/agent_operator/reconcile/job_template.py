"""A user's own Job template: no schema has seen it, so its fields that are built on are checked."""

from typing import Any, Final

from agent_operator.reconcile.errors import GateSetupError

# Objects by their fields, and lists by what is in them.
_OBJECT: Final[dict[str, Any]] = {}
_METADATA: Final = {"labels": _OBJECT, "annotations": _OBJECT}
_CONTAINERS: Final = [{"securityContext": _OBJECT, "env": [_OBJECT]}]
_POD: Final = {
    "containers": _CONTAINERS,
    "initContainers": _CONTAINERS,
    "securityContext": _OBJECT,
}
_JOB: Final = {
    "metadata": _METADATA,
    "spec": {"template": {"metadata": _METADATA, "spec": _POD}},
}
_KINDS: Final = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}


def check(template: dict[str, Any]) -> None:
    """See that a Job can be built on it; what else is wrong with it the API server says.

    Raises:
        GateSetupError: no, for good; the message names the field.
    """
    _check(template, _JOB, "job")
    pod = ((template.get("spec") or {}).get("template") or {}).get("spec") or {}
    if not pod.get("containers"):
        raise _refusal("it needs spec.template.spec.containers")


def _check(value: Any, shape: Any, where: str) -> None:
    wanted = type(shape)
    if not isinstance(value, wanted):
        is_now = _KINDS.get(type(value), "none" if value is None else "a number")
        raise _refusal(f"{where} must be {_KINDS[wanted]}, and is {is_now}")
    if isinstance(value, list):
        for number, part in enumerate(value):
            _check(part, shape[0], f"{where}[{number}]")
        return
    for field, inner in shape.items():
        if value.get(field) is not None:
            _check(value[field], inner, f"{where}.{field}")


def _refusal(why: str) -> GateSetupError:
    told = f"job is no Job's template, as a CronJob's spec.jobTemplate is: {why}"
    return GateSetupError(told, final=True)
