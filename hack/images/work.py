"""Building, and loading into the cluster in use."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack import cluster, restate
from hack.cluster.providers import detect
from hack.images import base, paths
from hack.images.engines import Engine, ImageError, build_secrets, choose
from hack.images.progress import say, step
from hack.images.specs import (
    LOCAL_PREFIX,
    SPECS,
    Spec,
    official_restate,
    reference,
    tag,
    with_parents,
)

LOADED = paths.HOME / "loaded.json"


@dataclass(frozen=True)
class Job:
    """An image with its name in the engine's storage and in the cluster."""

    spec: Spec
    local: str
    remote: str


@dataclass(frozen=True)
class Plan:
    """What to build on what, with what."""

    engine: Engine
    base: str
    jobs: tuple[Job, ...]


@contextmanager
def _alone() -> Iterator[None]:
    """Lets one process of this clone build or load at a time; others wait and find it done."""
    paths.HOME.mkdir(parents=True, exist_ok=True)
    with (paths.HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _provider() -> str:
    """The kind of cluster in use, or the one that would be made."""
    try:
        return cluster.provider()
    except cluster.ClusterError:
        return detect(os.environ.get("CLUSTER", ""))[0]


def _plan(names: Iterable[str], environ: Mapping[str, str], provider: str) -> Plan:
    engine = choose(environ)
    base_name = base.name(engine, environ, provider)
    prefix = environ.get("IMAGE_REPOSITORY") or LOCAL_PREFIX
    jobs = []
    for spec in with_parents(names):
        if _ready_made(spec):
            continue
        tag_ = tag(spec, paths.ROOT, base_name)
        jobs.append(Job(spec, reference(spec, tag_), reference(spec, tag_, prefix)))
    return Plan(engine, base_name, tuple(jobs))


def _ready_made(spec: Spec) -> bool:
    """Whether to leave an image to its makers: npm gives this machine no program for Linux."""
    return spec.name == "restate" and platform.system() != "Linux"


def _named(plan: Plan, names: Iterable[str], references: Iterable[str]) -> dict[str, str]:
    named = {job.spec.name: name for job, name in zip(plan.jobs, references, strict=True)}
    ready_made = [name for name in names if _ready_made(SPECS[name])]
    return named | dict.fromkeys(ready_made, official_restate(paths.ROOT))


@contextmanager
def _context(spec: Spec, jobs: Mapping[str, Job]) -> Iterator[tuple[Path, Path]]:
    """The Dockerfile and the build context of an image."""
    if ".dockerignore" in spec.inputs:
        yield paths.ROOT / spec.dockerfile, paths.ROOT
        return
    paths.TMP.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.TMP, prefix="context-") as folder:
        context = Path(folder)
        dockerfile = context / "Dockerfile"
        if spec.variant_of:
            lines = [f"FROM {jobs[spec.variant_of].local}"]
            lines += [f"ENV {key}={value}" for key, value in spec.env]
            dockerfile.write_text("\n".join(lines) + "\n")
        else:
            shutil.copyfile(paths.ROOT / spec.dockerfile, dockerfile)
            os.link(restate.binary(), context / "restate-server")
        yield dockerfile, context


def _build(plan: Plan) -> None:
    missing = [job for job in plan.jobs if not plan.engine.has(job.local)]
    if not missing:
        return
    base.ensure(plan.engine, plan.base)
    jobs = {job.spec.name: job for job in plan.jobs}
    for job in missing:
        spec = job.spec
        tags = [job.local, reference(spec, spec.alias)]
        with (
            step(f"building {job.local} with {plan.engine.name}"),
            build_secrets(os.environ) as secrets,
            _context(spec, jobs) as (dockerfile, context),
        ):
            # A variant has neither steps that run nor a base to choose.
            more = [] if spec.variant_of else [f"--build-arg=BASE_IMAGE={plan.base}", *secrets]
            plan.engine.build(spec.name, dockerfile, context, tags, more)


def build(names: Sequence[str] = tuple(SPECS)) -> dict[str, str]:
    """Builds the images that are missing; at once when all are there.

    Returns:
        The name of each image in the engine's storage, by its key in `SPECS`.

    Raises:
        ImageError: an image can't be built.
    """
    with _alone():
        plan = _plan(names, os.environ, _provider())
        _build(plan)
    return _named(plan, names, (job.local for job in plan.jobs))


def present(name: str) -> tuple[Engine, str, str] | None:
    """An image of the sources as they are, if it has been built; nothing is built or installed.

    Returns:
        The engine that has it, its name in the engine's storage, and its base's name there.
    """
    if not any(shutil.which(program) for program in ("docker", "podman", "buildah")):
        return None
    plan = _plan([name], os.environ, _provider())
    local = plan.jobs[-1].local
    return (plan.engine, local, plan.base) if plan.engine.has(local) else None


def _cluster_id() -> str:
    """Tells clusters apart: a re-created one has another namespace kube-system."""
    kubectl = paths.ROOT / ".local" / "bin" / "kubectl"
    command = [
        str(kubectl if kubectl.exists() else "kubectl"),
        "get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}",
    ]  # fmt: skip
    env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig())}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0 or not done.stdout:
        raise ImageError(f"there is no cluster to load images into: {done.stderr.strip()}")
    return done.stdout


def _read_loaded() -> dict[str, list[str]]:
    try:
        record = json.loads(LOADED.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return record if isinstance(record, dict) else {}


def _load(plan: Plan) -> None:
    where = _cluster_id()
    loaded = _read_loaded().get(where, [])
    missing = [job for job in plan.jobs if job.local not in loaded]
    if not missing:
        return
    _build(plan)
    paths.TMP.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.TMP, prefix="archive-") as folder:
        archive = Path(folder) / "images.tar"
        with step(f"exporting {len(missing)} images"):
            plan.engine.export([job.local for job in missing], archive)
        with step(f"loading {archive.stat().st_size / 1e6:.0f} MB into the cluster"):
            cluster.load([archive])
    # Only the cluster in use is remembered: the others of this clone are gone.
    LOADED.write_text(json.dumps({where: [*loaded, *(job.local for job in missing)]}, indent=1))


def _push(plan: Plan) -> None:
    _build(plan)
    for job in plan.jobs:
        with step(f"pushing {job.remote}"):
            plan.engine.push(f"push-{job.spec.name}", job.local, job.remote)


def ensure(names: Sequence[str] = tuple(SPECS)) -> dict[str, str]:
    """Builds what is missing and brings it into the cluster in use.

    With ``CLUSTER=current`` the images are pushed to the registry prefix in ``IMAGE_REPOSITORY``.

    Returns:
        Full image names as pods may use them, by key: ``operator``, ``agent-service``,
        ``agent-service-v2`` (the same in Fahrenheit), ``restate`` (the official image where ours
        can't be made, which is anywhere but on Linux).

    Raises:
        ImageError: an image can't be built or loaded.
        ClusterError: there is no cluster in use.
    """
    with _alone():
        provider = cluster.provider()
        if provider == "current" and not os.environ.get("IMAGE_REPOSITORY"):
            raise ImageError(
                "CLUSTER=current needs IMAGE_REPOSITORY: a registry prefix that you may push to "
                "and that the cluster may pull from, e.g. IMAGE_REPOSITORY=registry.example/team"
            )
        plan = _plan(names, os.environ, provider)
        if provider == "current":
            _push(plan)
            return _named(plan, names, (job.remote for job in plan.jobs))
        _load(plan)
    say(f"{len(plan.jobs)} images are in the cluster")
    return _named(plan, names, (job.local for job in plan.jobs))
