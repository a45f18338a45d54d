"""Every class that the official client has for an error is raised for what it is there for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from tests.clients.running import Running, picture, running

from maquette.core.money import Usd
from maquette.core.people import Caller, Role, Scope
from maquette.services import keys, people, spending
from maquette.services.people import Change
from maquette.testing.standin_openai import Act

SIDE = "64x64"


def make(client: openai.OpenAI, **more: Any) -> Any:
    wanted: dict[str, Any] = {"model": "tiny", "prompt": "a fox", "size": SIDE, **more}
    images: Any = client.images
    return images.generate(**wanted)


def failed(house: Running, client: openai.OpenAI, *acts: Act) -> openai.APIStatusError:
    """Return what a call raises that meets these; it was sent upstream once, with no retry."""
    before = house.calls()
    house.upstream.script(*acts)
    with pytest.raises(openai.APIStatusError) as caught:
        make(client)
    assert house.calls() == before + len(acts)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.request_id
    return caught.value


@pytest.mark.parametrize("act", [Act("fail", status=502), Act("fail", status=500), Act("cut-late")])
def test_what_may_have_been_charged_upstream_is_a_server_error_and_sent_once(
    house: Running, client: openai.OpenAI, act: Act
) -> None:
    error = failed(house, client, act)
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.type) == (502, "server_error")


def test_moderation_is_a_bad_request_with_openais_own_words(
    house: Running, client: openai.OpenAI
) -> None:
    error = failed(house, client, Act("moderate", message="Not this."))
    assert isinstance(error, openai.BadRequestError)
    assert (error.code, error.type) == ("moderation_blocked", "image_generation_user_error")
    assert "Not this." in str(error)


def test_a_refusal_upstream_is_a_bad_request(house: Running, client: openai.OpenAI) -> None:
    error = failed(house, client, Act("error", status=409, code="conflict", message="Not now."))
    assert isinstance(error, openai.BadRequestError)


def test_a_key_that_the_provider_does_not_take_is_no_fault_of_the_client(
    house: Running, client: openai.OpenAI
) -> None:
    error = failed(house, client, Act("error", status=401, code="invalid_api_key"))
    assert isinstance(error, openai.InternalServerError)


def test_an_account_without_credit_is_a_quota(house: Running, client: openai.OpenAI) -> None:
    error = failed(house, client, Act("busy", code="insufficient_quota"))
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "insufficient_quota"


def test_a_provider_that_stays_busy_is_a_server_error(
    house: Running, client: openai.OpenAI
) -> None:
    busy = Act("busy", headers={"retry-after-ms": "1"})
    error = failed(house, client, busy, busy)
    assert isinstance(error, openai.InternalServerError)


def test_pictures_that_the_guard_refuses_cannot_be_handed_out(client: openai.OpenAI) -> None:
    rules = {"maquette": {"guard": {"enforce_grayscale": True, "max_chroma_delta": 1}}}
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        make(client, model="proof", extra_body=rules)
    assert caught.value.code == "nothing-passed"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_a_cap_is_a_quota_and_nobody_tries_again(house: Running, client: openai.OpenAI) -> None:
    """WEB-9: the price of one picture does not fit."""
    studio = house.served.house.studio
    before = house.calls()
    house.do(spending.set_cap(studio, "installation", Usd(Decimal("0.001"))))
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            make(client)
    finally:
        house.do(spending.set_cap(studio, "installation", None))
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert house.calls() == before


def test_the_kill_switch_is_a_quota(house: Running, client: openai.OpenAI) -> None:
    studio = house.served.house.studio
    house.do(spending.stop(studio, "enough"))
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            make(client)
    finally:
        house.do(spending.allow(studio))
    assert caught.value.code == "insufficient_quota"


def test_a_request_may_set_a_limit_of_its_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        make(client, extra_body={"maquette": {"max_spend_usd": "0.001"}})
    make(client, extra_body={"maquette": {"max_spend_usd": "0.02"}})


@pytest.mark.parametrize(("model", "words"), [("nobody", "nobody"), ("tiny-lost", "'tiny'")])
def test_a_model_that_is_not_there_is_not_found(
    client: openai.OpenAI, model: str, words: str
) -> None:
    """Of one that was shut down the successor is named."""
    for ask in (make, edit):
        with pytest.raises(openai.NotFoundError, match=words) as caught:
            ask(client, model=model)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def edit(client: openai.OpenAI, **more: Any) -> Any:
    images: Any = client.images
    return images.edit(image=picture(), prompt="in snow", **more)


def test_a_job_that_somebody_cancels_is_a_conflict(house: Running, client: openai.OpenAI) -> None:
    """A paid call is waited for all the same, and its pictures are kept."""
    before = house.calls()
    house.upstream.script(Act(delay_s=1))
    cancelling = threading.Thread(target=_cancel_the_one_job, args=(house,))
    cancelling.start()
    with pytest.raises(openai.ConflictError):
        make(client)
    cancelling.join()
    assert house.calls() == before + 1


def _cancel_the_one_job(house: Running) -> None:
    where, deadline = "/api/projects/personal-local/jobs", time.monotonic() + 20
    while time.monotonic() < deadline:
        reply = house.do(house.served.client.get(f"{where}?state=running")).json()
        if reply["items"]:
            house.do(house.served.client.post(f"{where}/{reply['items'][0]['id']}/cancel"))
            return


def test_the_same_key_with_another_request_is_a_conflict(client: openai.OpenAI) -> None:
    key = {"Idempotency-Key": "one of the tests"}
    make(client, model="proof", extra_headers=key)
    with pytest.raises(openai.ConflictError) as caught:
        make(client, model="proof", prompt="a hen", extra_headers=key)
    assert caught.value.code == "idempotency-mismatch"


# --- where people sign in


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("guarded"), auth="multi", per_minute=10) as found:
        yield found


@pytest.fixture(scope="module")
def key_to(guarded: Running) -> Callable[..., str]:
    studio = guarded.served.house.studio
    who = guarded.do(people.create(studio, "ada", Role.CREATOR, Change()))

    def made(*scopes: Scope) -> str:
        caller = Caller(who.id, "ada", Role.CREATOR)
        _, text = guarded.do(keys.make(studio, caller, "of a test", scopes, None))
        return text

    return made


def test_a_wrong_key_is_an_authentication_error(guarded: Running) -> None:
    with (
        openai.OpenAI(base_url=guarded.url, api_key="mq_wrong") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        make(client, model="proof")
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")


def test_a_key_that_may_not_spend_is_denied(guarded: Running, key_to: Callable[..., str]) -> None:
    with openai.OpenAI(base_url=guarded.url, api_key=key_to(Scope.READ)) as client:
        for ask in (make, edit):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                ask(client, model="proof")
            assert caught.value.type == "permission_error"


def test_too_many_requests_are_told_when_to_come_back(
    guarded: Running, key_to: Callable[..., str]
) -> None:
    """WEB-6: nothing is held, so the client may try again; here it is told not to wait a minute."""
    with openai.OpenAI(base_url=guarded.url, api_key=key_to(*Scope)) as client:
        make(client, model="proof")
        for _ in range(9):
            with pytest.raises(openai.NotFoundError):
                make(client, model="nobody")
        with pytest.raises(openai.RateLimitError) as caught:
            make(client.with_options(max_retries=0), model="proof")
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    headers = caught.value.response.headers
    assert "x-should-retry" not in headers
    assert 0 < int(headers["retry-after"]) <= 60
    assert int(headers["retry-after-ms"]) >= 1000
