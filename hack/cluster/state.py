"""What this clone's cluster is, on disk: `.local/cluster/state.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from .errors import ClusterError
from .providers import Provider


@dataclass(frozen=True)
class Init:
    """The first process of a local node's namespaces.

    Attributes:
        pid: its process id, as this machine sees it.
        start: its start time in clock ticks since boot (field 22 of /proc/PID/stat).
        boot: the boot it belongs to (/proc/sys/kernel/random/boot_id).
    """

    pid: int
    start: int
    boot: str


@dataclass(frozen=True)
class State:
    """What is in use.

    Attributes:
        provider: where the cluster comes from.
        context: the kubeconfig context (current) or the cluster's name (kind, local).
        block: the local node's IPv4 block, e.g. `10.201.0.0/18`.
        init: the local node's first process, once it runs.
        complete: whether the cluster's start got to its end.
    """

    provider: Provider
    context: str
    block: str = ""
    init: Init | None = None
    complete: bool = False

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it isn't that.
        """
        raw: dict[str, Any] = json.loads(text)
        try:
            init = Init(**raw.pop("init")) if raw.get("init") else None
            raw.pop("init", None)
            return cls(provider=Provider(raw.pop("provider")), init=init, **raw)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a cluster's state: {error}") from error

    def to_json(self) -> str:
        """Indented JSON, one key for each attribute."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read(path: Path) -> State | None:
    """The recorded state, or None when there is none.

    Raises:
        ClusterError: the file can't be understood.
    """
    try:
        return State.from_json(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ClusterError(
            f"{path} is damaged ({error}); run `python -m hack.cluster down`"
        ) from None


def write(path: Path, state: State) -> None:
    """Record the state, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(state.to_json())
    draft.replace(path)
