"""Interactive authentication, stage by stage."""

from typing import Any

import pytest

from appliance.accounts import interactive
from appliance.accounts.interactive import (
    DUMMY,
    MAX_SESSIONS,
    PASSWORD,
    REGISTRATION_TOKEN,
    SESSION_MS,
    Proof,
    UnfinishedError,
)
from appliance.errors import MatrixError
from tests.accounts.household import Household

pytestmark = pytest.mark.anyio

ALICE = "@alice:example.org"
FLOWS = ((PASSWORD,),)
RIGHT = {"type": PASSWORD, "identifier": {"type": "m.id.user", "user": "alice"}, "password": "ecila"}


async def prove(house: Household, body: dict[str, Any], **changes: Any) -> Proof:
    asked = {"endpoint": "POST /thing", "asker": ALICE, "flows": FLOWS, **changes}
    return await house.interactive.prove(body=body, **asked)


async def refused(house: Household, body: dict[str, Any], **changes: Any) -> UnfinishedError:
    with pytest.raises(UnfinishedError) as caught:
        await prove(house, body, **changes)
    assert caught.value.status == 401
    return caught.value


async def test_without_auth_the_flows_are_told_and_the_body_is_remembered(house: Household) -> None:
    await house.login("alice")
    told = (await refused(house, {"devices": ["A"]})).body()
    assert told == {"flows": [{"stages": [PASSWORD]}], "params": {}, "session": told["session"]}
    proof = await prove(house, {"auth": {**RIGHT, "session": told["session"]}})
    assert proof == Proof({"devices": ["A"]}, ALICE, None)


async def test_a_session_serves_once(house: Household) -> None:
    await house.login("alice")
    session = (await refused(house, {})).extra["session"]
    await prove(house, {"auth": {**RIGHT, "session": session}})
    with pytest.raises(MatrixError) as caught:
        await prove(house, {"auth": {**RIGHT, "session": session}})
    assert (caught.value.errcode, caught.value.status) == ("M_UNKNOWN", 400)


async def test_requests_that_wait_for_a_proof_fill_no_memory(house: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten where all of them together are too long, also as one of them grows."""
    monkeypatch.setattr(interactive, "MAX_BYTES", 1_000)
    await house.login("alice")
    first, second = [(await refused(house, {"x": letter * 400})).extra["session"] for letter in "ab"]
    await refused(house, {"x": "b" * 900, "auth": {"session": second}})
    with pytest.raises(MatrixError) as caught:
        await prove(house, {"auth": {**RIGHT, "session": first}})
    assert caught.value.errcode == "M_UNKNOWN"
    assert (await prove(house, {"auth": {**RIGHT, "session": second}})).body == {"x": "b" * 900}
    for _ in range(3):
        await prove(house, {"x": "c" * 900, "auth": RIGHT})


async def test_all_in_one_request(house: Household) -> None:
    await house.login("alice")
    assert (await prove(house, {"auth": RIGHT, "wish": 1})).body == {"wish": 1}


@pytest.mark.parametrize(
    "auth",
    [
        {**RIGHT, "password": "wrong"},
        {**RIGHT, "password": None},
        {**RIGHT, "identifier": {"type": "m.id.user", "user": "bob"}},
        {**RIGHT, "identifier": {"type": "m.id.user", "user": "@alice:elsewhere.org"}},
        {"type": DUMMY},
        {"type": REGISTRATION_TOKEN, "token": "x"},
        {"type": 7},
    ],
    ids=["wrong", "missing", "another user", "another server", "dummy", "token", "not a type"],
)
async def test_a_failed_stage_can_be_tried_again(house: Household, auth: dict[str, Any]) -> None:
    await house.login("alice")
    await house.login("bob")
    told = (await refused(house, {"auth": auth, "wish": 1})).body()
    assert told["errcode"] == "M_FORBIDDEN"
    assert told["error"]
    assert "completed" not in told
    assert (await prove(house, {"auth": {**RIGHT, "session": told["session"]}})).body == {"wish": 1}


async def test_the_password_of_somebody_else_proves_the_wrong_thing(house: Household) -> None:
    await house.login("alice")
    await house.login("bob")
    auth = {**RIGHT, "identifier": {"type": "m.id.user", "user": "bob"}, "password": "bob"[::-1]}
    with pytest.raises(MatrixError) as refusal:
        await prove(house, {"auth": auth, "wish": 1})
    assert (refusal.value.status, refusal.value.errcode) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(
    "naming",
    [
        {"identifier": {"type": "m.id.user", "user": "@Alice:example.org"}},
        {"identifier": {"type": "m.id.user", "user": "ALICE"}},
        {"user": "alice"},
        {"user": ALICE},
        {},
    ],
)
async def test_ways_to_name_oneself(house: Household, naming: dict[str, Any]) -> None:
    await house.login("alice")
    assert (await prove(house, {"auth": {"type": PASSWORD, "password": "ecila", **naming}})).user_id == ALICE


@pytest.mark.parametrize(
    ("auth", "errcode"),
    [
        ("yes", "M_BAD_JSON"),
        ({**RIGHT, "identifier": "alice"}, "M_BAD_JSON"),
        ({**RIGHT, "identifier": {"type": "m.id.user"}}, "M_BAD_JSON"),
        ({**RIGHT, "identifier": {"type": "m.id.phone", "phone": "1"}}, "M_UNKNOWN"),
        ({**RIGHT, "session": "no such"}, "M_UNKNOWN"),
        ({**RIGHT, "session": 5}, "M_UNKNOWN"),
    ],
)
async def test_what_cannot_be_understood(house: Household, auth: Any, errcode: str) -> None:
    await house.login("alice")
    with pytest.raises(MatrixError) as caught:
        await prove(house, {"auth": auth})
    assert (caught.value.errcode, caught.value.status) == (errcode, 400)


@pytest.mark.parametrize("changes", [{"endpoint": "POST /other"}, {"asker": "@bob:example.org"}, {"asker": ""}])
async def test_a_session_belongs_to_one_user_and_one_endpoint(house: Household, changes: dict[str, str]) -> None:
    await house.login("alice")
    session = (await refused(house, {})).extra["session"]
    with pytest.raises(MatrixError) as caught:
        await prove(house, {"auth": {**RIGHT, "session": session}}, **changes)
    assert caught.value.errcode == "M_UNKNOWN"


async def test_a_session_ends_after_a_while(house: Household) -> None:
    await house.login("alice")
    session = (await refused(house, {})).extra["session"]
    house.now += SESSION_MS
    with pytest.raises(MatrixError) as caught:
        await prove(house, {"auth": {**RIGHT, "session": session}})
    assert caught.value.errcode == "M_UNKNOWN"


async def test_there_is_an_end_to_sessions(house: Household) -> None:
    await house.login("alice")
    sessions = [(await refused(house, {})).extra["session"] for _ in range(MAX_SESSIONS + 1)]
    with pytest.raises(MatrixError):
        await prove(house, {"auth": {**RIGHT, "session": sessions[0]}})
    await prove(house, {"auth": {**RIGHT, "session": sessions[1]}})


async def test_stages_are_completed_in_their_order(house: Household) -> None:
    await house.login("alice")
    flows = ((DUMMY, PASSWORD),)
    told = (await refused(house, {"auth": RIGHT, "wish": 1}, flows=flows)).body()
    assert told["errcode"] == "M_FORBIDDEN"
    session = told["session"]
    told = (await refused(house, {"auth": {"type": DUMMY, "session": session}}, flows=flows)).body()
    assert told["completed"] == [DUMMY]
    assert "errcode" not in told
    told = (await refused(house, {"auth": {"session": session}}, flows=flows)).body()
    assert told["completed"] == [DUMMY]
    told = (await refused(house, {"auth": {"type": DUMMY, "session": session}}, flows=flows)).body()
    assert told["completed"] == [DUMMY]
    proof = await prove(house, {"auth": {**RIGHT, "session": session}, "wish": 2}, flows=flows)
    assert proof.body == {"wish": 1}


async def test_a_request_can_be_corrected_before_anything_is_proved(house: Household) -> None:
    await house.login("alice")
    session = (await refused(house, {"wish": 1})).extra["session"]
    assert (await prove(house, {"auth": {**RIGHT, "session": session}, "wish": 2})).body == {"wish": 2}


@pytest.mark.parametrize(("flag", "errcode"), [("", None), ("deactivated", "M_FORBIDDEN"), ("locked", "M_USER_LOCKED")])
async def test_a_password_alone_says_who_asks(house: Household, flag: str, errcode: str | None) -> None:
    await house.login("alice")
    if flag:
        await house.database.write(lambda tx: tx.execute(f"UPDATE accounts SET {flag} = 1"))
    if errcode is None:
        assert (await prove(house, {"auth": RIGHT}, asker="")).user_id == ALICE
        assert "errcode" in (await refused(house, {"auth": {"type": PASSWORD, "password": "x"}}, asker="")).body()
        return
    with pytest.raises(MatrixError) as caught:
        await prove(house, {"auth": RIGHT}, asker="")
    assert caught.value.errcode == errcode
