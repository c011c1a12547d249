"""The key ring: which Authorization values count, for how long, and that no text is more than refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.auth import KeyRing
from jupyter_tfserve.errors import Code, Overloaded, ServingError
from jupyter_tfserve.lifecycle.keys import new_key
from jupyter_tfserve.lifecycle.limits import FlowLimits


class VirtualClock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def key(models=("m",), now=1000.0, expires_s=None, **limits):
    return new_key(models, "", now, expires_s, FlowLimits(**limits))


def refusal(ring: KeyRing, authorization: str | None) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        ring.caller(authorization)
    return caught.value.code, caught.value.message


def test_key_is_recognised_in_any_case_of_the_scheme():
    text, kept = key()
    ring = KeyRing(required=True)
    ring.configure([kept])
    for scheme in ("Bearer", "bearer", "BEARER"):
        caller = ring.caller(f"{scheme} {text}")
        assert caller is not None
        assert caller.key == kept


def test_key_has_256_random_bits_and_is_not_in_what_is_kept():
    texts = {key()[0] for _ in range(100)}
    assert len(texts) == 100
    text, kept = key()
    secret = text.split("_", 2)[2]
    assert len(secret) == 43
    assert secret not in repr(kept)
    assert "digest" not in kept.to_json()


@pytest.mark.parametrize("required", [True, False])
def test_wrong_keys_are_unauthenticated_whether_keys_are_needed_or_not(required):
    text, kept = key()
    ring = KeyRing(required)
    ring.configure([kept])
    wrong = [
        text[:-1],
        text + "x",
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        key()[0],
        "tfserve_",
        f"tfserve_{kept.id}_",
        f"tfserve_{kept.id}_{kept.digest}",
        f"tfserve_{kept.id}_é" + "x" * 42,
    ]
    for given_key in wrong:
        assert refusal(ring, f"Bearer {given_key}")[0] is Code.UNAUTHENTICATED


STRANGERS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Basic dXNlcjpwYXNz",
    "Bearer ünïcödé",
    "Bearer \udcff\udcfe",
    "Bearer " + "x" * 2**20,
    "Bearer tfserve_" + "x" * 2**20,
]


@pytest.mark.parametrize("authorization", STRANGERS)
def test_strangers_are_refused_where_keys_are_needed_and_let_in_elsewhere(authorization):
    assert refusal(KeyRing(required=True), authorization) == (
        Code.UNAUTHENTICATED,
        "This server answers only with a key",
    )
    assert KeyRing(required=False).caller(authorization) is None


@given(st.text(), st.booleans())
def test_no_text_is_more_than_refused(text, is_key):
    ring = KeyRing(required=True)
    for authorization in (text, f"Bearer {text}", f"Bearer tfserve_{text}"):
        assert refusal(ring, authorization)[0] is Code.UNAUTHENTICATED


def test_key_expires_by_the_clock_and_not_before(clock):
    text, kept = key(expires_s=60)
    ring = KeyRing(True, clock)
    ring.configure([kept])
    clock.now += 59.9
    assert ring.caller(f"Bearer {text}") is not None
    clock.now += 0.1
    assert refusal(ring, f"Bearer {text}") == (Code.UNAUTHENTICATED, "This key has expired")


def test_revoked_key_is_refused_at_once_and_others_keep_their_count():
    (gone, kept_of_gone), (text, kept) = key(), key(max_in_flight=1)
    ring = KeyRing(True)
    ring.configure([kept_of_gone, kept])
    caller = ring.caller(f"Bearer {text}")
    with caller:
        ring.configure([kept])
        assert refusal(ring, f"Bearer {gone}") == (
            Code.UNAUTHENTICATED,
            "This key is unknown, or it was revoked",
        )
        with pytest.raises(Overloaded), ring.caller(f"Bearer {text}"):
            pass
    with ring.caller(f"Bearer {text}"):
        pass


def test_key_covers_its_models_and_tells_nothing_of_others():
    text, kept = key(("a", "b"))
    ring = KeyRing(True)
    ring.configure([kept])
    caller = ring.caller(f"Bearer {text}")
    caller.check_model("a")
    caller.check_model("b")
    for model in ("c", "", "*", "a "):
        with pytest.raises(ServingError) as caught:
            caller.check_model(model)
        assert (caught.value.code, caught.value.message) == (
            Code.PERMISSION_DENIED,
            "This key is for a, b, and for nothing else",
        )


def test_star_covers_everything():
    text, kept = key(("*",))
    ring = KeyRing(True)
    ring.configure([kept])
    for model in ("a", "*", ""):
        ring.caller(f"Bearer {text}").check_model(model)


def test_rate_of_a_key_holds_for_all_of_its_requests(clock):
    text, kept = key(requests_per_second=2, burst=2)
    ring = KeyRing(True, monotonic=clock)
    ring.configure([kept])
    for _ in range(2):
        with ring.caller(f"Bearer {text}"):
            pass
    with (
        pytest.raises(Overloaded, match="This key takes 2 requests per second"),
        ring.caller(f"Bearer {text}"),
    ):
        pass


def test_ring_is_out_of_the_way_until_there_is_a_key():
    ring = KeyRing(required=False)
    assert not ring.is_used
    ring.configure([key()[1]])
    assert ring.is_used
    ring.configure([])
    assert not ring.is_used
    assert KeyRing(required=True).is_used
