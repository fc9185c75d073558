import json
from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hack.cluster import ClusterError
from hack.cluster.local.network import (
    BLOCK_PREFIX,
    POOLS,
    Addresses,
    addresses,
    pick_block,
    routed,
)


def test_the_same_seed_gives_the_same_block() -> None:
    assert pick_block(7, []) == pick_block(7, [])


def test_neighbouring_seeds_give_other_blocks() -> None:
    assert not pick_block(7, []).overlaps(pick_block(8, []))


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=8, max_value=32))
def test_a_block_never_overlaps_with_what_is_taken(seed: int, prefix: int) -> None:
    first = pick_block(seed, [])
    taken = IPv4Network((first.network_address, prefix), strict=False)
    second = pick_block(seed, [taken])
    assert second.prefixlen == BLOCK_PREFIX
    assert not second.overlaps(taken)


def test_another_pool_is_used_when_the_first_is_routed_elsewhere() -> None:
    block = pick_block(7, [IPv4Network("10.0.0.0/8")])
    assert block.subnet_of(POOLS[1])


def test_no_free_block_is_an_error() -> None:
    with pytest.raises(ClusterError, match="no free /18 network"):
        pick_block(7, POOLS)


def test_the_default_route_takes_nothing() -> None:
    routes = [
        {"dst": "default", "gateway": "192.0.2.1"},
        {"dst": "0.0.0.0/0"},
        {"dst": "192.0.2.0/24"},
        {"type": "local", "dst": "192.0.2.2"},
    ]
    assert routed(json.dumps(routes)) == [
        IPv4Network("192.0.2.0/24"),
        IPv4Network("192.0.2.2/32"),
    ]
    assert routed("") == []


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(min_value=0, max_value=2**32))
def test_the_parts_of_a_block_do_not_overlap(seed: int) -> None:
    net = Addresses(pick_block(seed, []))
    parts = [net.pods, net.services, net.egress, net.link]
    for part in parts:
        assert part.subnet_of(net.block)
        assert not any(part.overlaps(other) for other in parts if other is not part)
    assert {net.host, net.node} == set(net.link.hosts())
    assert net.api_service in net.services
    assert net.dns in net.services
    assert net.pods.num_addresses >= 4 * 250  # a pod's address is free only after a while


def test_addresses_of_a_recorded_block() -> None:
    net = addresses("10.192.128.0/18")
    assert net.api_url == "https://10.192.191.254:6443"
    assert str(net.host) == "10.192.191.253"
    assert str(net.pods) == "10.192.128.0/19"
    assert str(net.services) == "10.192.160.0/20"
    assert str(net.dns) == "10.192.160.10"
