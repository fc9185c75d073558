from pathlib import Path

import pytest

from hack.cluster import ClusterError, Provider, current
from hack.cluster.paths import Clone
from hack.cluster.providers import choose


def no_engine() -> str:
    return ""


def docker() -> str:
    return "docker"


def never() -> str:
    raise AssertionError("the engine must not be asked")


@pytest.mark.parametrize("provider", list(Provider))
def test_what_is_asked_for_wins(provider: Provider) -> None:
    chosen, why = choose(provider.value, kind_installed=True, engine=docker)
    assert chosen is provider
    assert why == f"CLUSTER={provider}"


def test_kind_is_taken_where_it_works() -> None:
    chosen, why = choose("", kind_installed=True, engine=docker)
    assert chosen is Provider.KIND
    assert "docker" in why


def test_a_docker_client_without_an_engine_is_not_enough() -> None:
    assert choose("", kind_installed=True, engine=no_engine)[0] is Provider.LOCAL


def test_without_kind_no_engine_is_asked() -> None:
    assert choose("", kind_installed=False, engine=never)[0] is Provider.LOCAL


def test_the_current_context_is_never_taken_unasked() -> None:
    for kind_installed in (True, False):
        for engine in (docker, no_engine):
            chosen, _ = choose("", kind_installed=kind_installed, engine=engine)
            assert chosen is not Provider.CURRENT


def test_asking_for_kind_where_it_cannot_work_is_refused() -> None:
    with pytest.raises(ClusterError, match="not installed"):
        choose("kind", kind_installed=False, engine=docker)
    with pytest.raises(ClusterError, match="no container engine answers"):
        choose("kind", kind_installed=True, engine=no_engine)


def test_an_unknown_wish_names_the_known_ones() -> None:
    with pytest.raises(ClusterError, match=r"CLUSTER=minikube.*current, kind, local"):
        choose("minikube", kind_installed=True, engine=docker)


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", ["kind", "load", "image-archive", "x.tar", "--name", "dev"]),
        ("k3d-dev", ["k3d", "image", "import", "x.tar", "--cluster", "dev"]),
        ("minikube", ["minikube", "image", "load", "x.tar"]),
    ],
)
def test_known_contexts_have_a_loader(context: str, command: list[str]) -> None:
    assert current.loader(context, "x.tar") == command


def test_an_unknown_context_needs_a_registry() -> None:
    with pytest.raises(ClusterError, match=r"production.*IMAGE_REPOSITORY"):
        current.loader("production", "x.tar")


def test_the_copy_is_never_its_own_source(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    assert current.source(clone, str(clone.kubeconfig)) == ""
    assert current.source(clone, "/somewhere/else") == "/somewhere/else"
    assert current.source(clone, "") == ""
