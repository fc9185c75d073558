"""Which Restate an agent means, what stays on record of it, and what makes a new revision."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_operator.api import names
from agent_operator.reconcile import restates
from agent_operator.reconcile.revisions import wanted
from agent_operator.restate.server import Calling, Header, SecretKey, Server
from agent_operator.settings import Settings, SettingsError
from tests.unit.operator.build import RESTATE, SETTINGS, agent

TOKEN = {"name": "restate", "key": "token"}
FAR = "https://restate.example:9070"
GUARDED = Settings(restate=replace(RESTATE, namespace="ops", token=SecretKey("admin", "token")))

NAMED: list[tuple[dict[str, Any], Server]] = [
    ({"adminURL": FAR + "/"}, Server(FAR)),
    ({"http11": True}, RESTATE),
    ({"service": {"name": "restate"}}, Server("http://restate.team.svc.cluster.local:9070")),
    (
        {"service": {"name": "r", "namespace": "tools", "port": 443, "scheme": "https"}},
        Server("https://r.tools.svc.cluster.local:443"),
    ),
    (
        {"adminURL": FAR, "tokenSecret": TOKEN, "clientCertificateSecret": {"name": "client"}},
        Server(FAR, "team", SecretKey("restate", "token"), "client"),
    ),
    (
        {"adminURL": FAR, "caSecret": {"name": "client", "key": "ca.crt"}},
        Server(FAR, "team", ca=SecretKey("client", "ca.crt")),
    ),
]


@pytest.mark.parametrize(("ref", "server"), NAMED, ids=str)
def test_what_a_spec_names(ref: dict[str, Any], server: Server) -> None:
    made = wanted(agent(restate=ref), SETTINGS)
    assert made.restate == server
    kept = restates.notes(made.restate, made.calling, "team")
    assert restates.read_notes(kept, "team", SETTINGS) == (made.restate, made.calling)


def test_the_default_has_the_operators_own_credentials() -> None:
    assert wanted(agent(), GUARDED).restate == GUARDED.restate
    kept = restates.notes(GUARDED.restate, Calling(), "team")
    assert names.CREDENTIALS_ANNOTATION not in kept
    assert restates.read_notes(kept, "team", GUARDED)[0] == GUARDED.restate


def test_a_record_can_not_name_the_secrets_of_another_namespace() -> None:
    forged = {
        names.ADMIN_URL_ANNOTATION: "https://thief.example",
        names.CREDENTIALS_ANNOTATION: json.dumps(
            {"url": "", "namespace": "ops", "token": {"name": "admin", "key": "token"}}
        ),
    }
    server, _ = restates.read_notes(forged, "team", GUARDED)
    assert server.namespace == "team"
    del forged[names.CREDENTIALS_ANNOTATION]
    assert not restates.read_notes(forged, "team", GUARDED)[0].has_credentials


def test_another_secret_makes_no_revision_and_another_call_does() -> None:
    plain = wanted(agent(restate={"adminURL": FAR}), SETTINGS)
    guarded = wanted(agent(restate={"adminURL": FAR, "tokenSecret": TOKEN}), SETTINGS)
    assert (plain.name, plain.uri) == (guarded.name, guarded.uri)
    assert plain.restate != guarded.restate
    header = {"name": "x-tenant", "value": "shop"}
    http11 = wanted(agent(restate={"adminURL": FAR, "http11": True}), SETTINGS)
    headers = wanted(agent(restate={"adminURL": FAR, "headers": [header]}), SETTINGS)
    assert len({plain.name, http11.name, headers.name}) == 3
    assert wanted(agent(restate={"adminURL": FAR, "http11": False}), SETTINGS) == plain


def test_headers_are_kept_on_record_in_any_order_and_never_with_a_secrets_value() -> None:
    first = {"name": "b", "valueFrom": {"secretKeyRef": TOKEN}}
    second = {"name": "a", "value": "shop"}
    one = wanted(agent(restate={"headers": [first, second]}), SETTINGS)
    assert one == wanted(agent(restate={"headers": [second, first]}), SETTINGS)
    assert one.calling.headers == (
        Header("a", "shop"),
        Header("b", secret=SecretKey("restate", "token")),
    )
    kept = restates.notes(one.restate, one.calling, "team")
    assert restates.read_notes(kept, "team", SETTINGS)[1] == one.calling


def test_the_operators_own_settings() -> None:
    env = {
        "RESTATE_ADMIN_URL": FAR,
        "POD_NAMESPACE": "ops",
        "RESTATE_TOKEN_SECRET": "admin",
        "RESTATE_CLIENT_CERTIFICATE_SECRET": "client",
        "RESTATE_CA_SECRET": "client/ca.pem",
    }
    assert Settings.from_env(env).restate == Server(
        FAR, "ops", SecretKey("admin", "token"), "client", SecretKey("client", "ca.pem")
    )
    inside = {**env, "RESTATE_ADMIN_URL": "http://restate.tools.svc:9070"}
    del inside["RESTATE_CA_SECRET"], inside["RESTATE_CLIENT_CERTIFICATE_SECRET"]
    assert Settings.from_env(inside).restate.token == SecretKey("admin", "token")


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"RESTATE_TOKEN_SECRET": "admin"}, "POD_NAMESPACE"),
        ({"RESTATE_TOKEN_SECRET": "admin", "POD_NAMESPACE": "ops"}, "in clear"),
        ({"RESTATE_CA_SECRET": "admin", "POD_NAMESPACE": "ops"}, "https"),
    ],
)
def test_settings_that_can_not_be_meant(env: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.from_env({"RESTATE_ADMIN_URL": "http://restate.example:9070", **env})


SERVED = replace(SETTINGS, ingress_url="http://restate.test:8080")
INGRESSES: list[tuple[dict[str, Any] | None, str]] = [
    (None, SERVED.ingress_url),
    ({"http11": True}, SERVED.ingress_url),
    ({"adminURL": RESTATE.url}, SERVED.ingress_url),
    ({"adminURL": FAR}, ""),
    ({"adminURL": FAR, "ingressURL": "https://in.example/"}, "https://in.example"),
    ({"ingressURL": "https://in.example"}, "https://in.example"),
    ({"service": {"name": "r"}}, "http://r.team.svc.cluster.local:8080"),
    (
        {"service": {"name": "r", "namespace": "t", "scheme": "https", "ingressPort": 443}},
        "https://r.t.svc.cluster.local:443",
    ),
]


@pytest.mark.parametrize(("ref", "ingress"), INGRESSES, ids=str)
def test_where_pods_reach_the_ingress(ref: dict[str, Any] | None, ingress: str) -> None:
    made = wanted(agent(restate=ref) if ref else agent(), SERVED)
    assert made.ingress == ingress


def test_only_a_named_ingress_is_part_of_a_revision() -> None:
    # The operator's default is not: another one must not roll out every agent.
    assert wanted(agent(), SERVED).name == wanted(agent(), SETTINGS).name
    far = wanted(agent(restate={"adminURL": FAR}), SETTINGS)
    named = wanted(agent(restate={"adminURL": FAR, "ingressURL": "https://in.example"}), SETTINGS)
    assert far.name != named.name
    usual = wanted(agent(restate={"service": {"name": "r"}}), SETTINGS)
    port = wanted(agent(restate={"service": {"name": "r", "ingressPort": 81}}), SETTINGS)
    assert usual.name != port.name
