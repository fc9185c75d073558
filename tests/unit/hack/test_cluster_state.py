import os
from pathlib import Path

import pytest

from hack.cluster import ClusterError, Provider, api, state
from hack.cluster.local import namespace
from hack.cluster.local.node import Node
from hack.cluster.paths import Clone, this_clone
from hack.cluster.state import Init, State

LOCAL = State(
    Provider.LOCAL,
    "da-12345678",
    "10.192.128.0/18",
    Init(pid=12, start=345, boot="b"),
    complete=True,
)


@pytest.mark.parametrize("value", [LOCAL, State(Provider.KIND, "kind-da-12345678")])
def test_state_survives_the_disk(tmp_path: Path, value: State) -> None:
    path = tmp_path / "new" / "state.json"
    state.write(path, value)
    assert state.read(path) == value
    assert [file.name for file in path.parent.iterdir()] == ["state.json"]


def test_no_state_is_none(tmp_path: Path) -> None:
    assert state.read(tmp_path / "state.json") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"provider": "x", "context": ""}', '{"provider": "kind"}']
)
def test_damaged_state_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ClusterError, match=r"damaged.*hack\.cluster down"):
        state.read(path)


def test_two_clones_have_names_of_their_own() -> None:
    one, other = Clone(Path("/a/clone")), Clone(Path("/another/clone"))
    assert one.name != other.name
    assert one.name == Clone(Path("/a/clone")).name
    assert len(one.name) <= 15  # a network device's longest name


def test_this_clone_is_the_repository() -> None:
    assert (this_clone().root / "hack" / "cluster" / "paths.py").exists()


def this_process() -> Init:
    start = namespace.started(os.getpid())
    assert start is not None
    return Init(os.getpid(), start, namespace.BOOT_ID.read_text().strip())


def test_a_process_is_known_by_id_start_and_boot() -> None:
    mine = this_process()
    assert namespace.alive(mine)
    assert not namespace.alive(Init(mine.pid, mine.start + 1, mine.boot))
    assert not namespace.alive(Init(mine.pid, mine.start, "another boot"))
    assert not namespace.alive(None)


def test_another_process_with_our_id_is_never_killed() -> None:
    mine = this_process()
    # Were it killed, this test would end with it.
    namespace.kill(Init(mine.pid, mine.start + 1, mine.boot))
    namespace.kill(Init(mine.pid, mine.start, "another boot"))


def test_a_start_that_broke_off_is_no_node(tmp_path: Path) -> None:
    clone, block = Clone(tmp_path), "10.192.128.0/18"
    assert Node.of(clone, State(Provider.LOCAL, "x", block, this_process())) is None
    assert Node.of(clone, State(Provider.LOCAL, "x", block, this_process(), complete=True))
    assert Node.of(clone, LOCAL) is None
    assert Node.of(clone, None) is None


def test_without_a_cluster_every_question_says_how_to_get_one(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    for ask in (api.provider, api.kubeconfig, api.status):
        with pytest.raises(ClusterError, match=r"hack\.cluster up"):
            ask(clone)
    with pytest.raises(ClusterError, match=r"hack\.cluster up"):
        api.load([], clone)


def test_another_provider_is_refused_while_one_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone(tmp_path)
    state.write(clone.state, State(Provider.KIND, "kind-x"))
    monkeypatch.setenv("CLUSTER", "local")
    with pytest.raises(ClusterError, match=r"already uses kind \(kind-x\).*down` first"):
        api.up(clone)


def test_down_leaves_a_current_cluster_alone(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    state.write(clone.state, State(Provider.CURRENT, "production"))
    clone.kubeconfig.write_text("a copy")
    api.down(clone)
    assert not clone.cluster.exists()


def test_archives_are_looked_for_before_loading(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    state.write(clone.state, State(Provider.KIND, "kind-x"))
    with pytest.raises(ClusterError, match=r"no such image archive: .*missing\.tar"):
        api.load([tmp_path / "missing.tar"], clone)
