from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_service.durable.identity import SessionId


@pytest.mark.parametrize(
    ("key", "user", "session"),
    [
        ("17", "", "17"),
        ("ann:17", "ann", "17"),
        ("ann@example.org:a chat", "ann@example.org", "a chat"),
        ("oidc%3Aann:50%25", "oidc:ann", "50%"),
        ("%3Astart", "", ":start"),
    ],
)
def test_a_key_says_whose_session_it_is(key: str, user: str, session: str) -> None:
    assert SessionId.of(key) == SessionId(user, session)
    assert SessionId(user, session).key == key


@pytest.mark.parametrize(
    "key", ["", ":17", "ann:", "a:b:17", "50%", "ann%41:17", "ann:%3a", "%3Aann:17", "a%FF:1"]
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"session|user"):
        SessionId.of(key)


PARTS = st.text(alphabet=st.sampled_from(":%25A3aé/ "), max_size=6)


@given(PARTS, PARTS.filter(bool), PARTS, PARTS.filter(bool))
def test_no_two_sessions_share_a_key_or_a_user(u1: str, s1: str, u2: str, s2: str) -> None:
    if u1.startswith(":") or u2.startswith(":"):
        return
    one, two = SessionId(u1, s1), SessionId(u2, s2)
    assert SessionId.of(one.key) == one
    assert (one.key == two.key) == (one == two)
    if not u1:
        assert (one.user_id == two.user_id) == (one == two)


def test_a_session_without_a_user_has_one_that_nobody_can_be() -> None:
    nobody = SessionId("", "17").user_id
    with pytest.raises(ValueError, match="must not begin"):
        SessionId(nobody, "1")
