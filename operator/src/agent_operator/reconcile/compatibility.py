"""What callers would miss if a candidate took over. Pure.

Restate itself refuses changed types of services only.
"""

from collections.abc import Iterable

from agent_operator.restate.view import Service, leading


def breaking_changes(now: Iterable[Service], then: Iterable[Service]) -> list[str]:
    """Services and handlers of ``now`` that ``then`` lacks, or has with another type, in words."""
    now = list(now)
    offered = {service.name: service for service in then}
    missing = [service.name for service in now if service.name not in offered]
    found = [f"service {name} is missing" for name in leading(missing)]
    for service in now:
        other = offered.get(service.name)
        if other is None:
            continue
        if other.type != service.type:
            found.append(f"service {service.name} is a {other.type}, and was a {service.type}")
        else:
            found += _handlers(service, other)
    return found


def _handlers(now: Service, then: Service) -> list[str]:
    found = []
    for handler, kind in sorted(now.handlers.items()):
        if handler not in then.handlers:
            found.append(f"handler {now.name}/{handler} is missing")
        elif then.handlers[handler] != kind:
            new = then.handlers[handler]
            found.append(f"handler {now.name}/{handler} is {new}, and was {kind}")
    return found
