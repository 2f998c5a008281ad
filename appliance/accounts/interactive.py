"""User-interactive authentication: a request that is answered only once its sender has proved who they are.

Client-server API, "User-Interactive Authentication API". A session lives in memory for a quarter of an hour, belongs to
one user and one endpoint (its path with its parameters), and remembers the first request's body, since the requests
that follow may carry nothing but ``auth``. It is gone once it has served: nobody can have two deeds done for one proof.
"""

import json
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from appliance.accounts.accounts import Accounts
from appliance.accounts.clock import Clock, wall_clock
from appliance.accounts.identity import named_user
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.sessions import locked_out
from appliance.errors import MatrixError, bad_json, forbidden
from appliance.settings import Settings

PASSWORD = "m.login.password"  # noqa: S105
DUMMY = "m.login.dummy"
TERMS = "m.login.terms"
REGISTRATION_TOKEN = "m.login.registration_token"  # noqa: S105

SESSION_MS = 15 * 60 * 1000
MAX_SESSIONS = 1000
MAX_BYTES = 16 * 1024 * 1024
"""Of the requests that wait for a proof, in all; the oldest is forgotten beyond that."""
_SESSION_BYTES = 18

Flows = Sequence[Sequence[str]]
"""The ways to authenticate, each a sequence of stages that are completed in this order."""


def is_poll(body: dict[str, Any]) -> bool:
    """Whether a request only asks if a session is through by now: it names one, and proves nothing."""
    auth = body.get("auth")
    return isinstance(auth, dict) and "session" in auth and "type" not in auth


class UnfinishedError(MatrixError):
    """401: what is still to be proved. Has ``errcode`` and ``error`` only where an attempt has just failed."""

    def __init__(self, fields: dict[str, Any], failure: str | None) -> None:
        super().__init__("M_FORBIDDEN", failure or "This request needs interactive authentication.", 401, **fields)
        self.failed = failure is not None

    def body(self) -> dict[str, Any]:
        """The JSON object to answer with."""
        return super().body() if self.failed else dict(self.extra)


class Proof(Struct, frozen=True):
    """What a completed authentication gives.

    Args:
        body: the request's body, without ``auth``; the first request's where the last carried nothing else.
        user_id: who was proved to ask: the sender of the request, or whom the password was for; empty where the flow
            proves nobody.
        registration_token: the registration token that was shown, or None.
    """

    body: dict[str, Any]
    user_id: str
    registration_token: str | None


class _Session(Struct):
    session_id: str
    endpoint: str
    asker: str
    body: bytes
    ends_ts: int
    completed: list[str]
    user_id: str
    registration_token: str | None = None
    flows: Flows = ()


class Interactive:
    """Sessions of interactive authentication, and the stages that Hearth knows.

    Args:
        accounts: checks passwords.
        tokens: knows registration tokens.
        settings: the server's name, read at use.
        clock: the time in milliseconds since 1970.
    """

    def __init__(
        self, accounts: Accounts, tokens: RegistrationTokens, settings: Settings, clock: Clock = wall_clock
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._bytes = 0

    async def prove(self, *, endpoint: str, asker: str, flows: Flows, body: dict[str, Any]) -> Proof:
        """Let a request through, or say what it still needs.

        Args:
            endpoint: what is asked: the method and path, with everything in the path that says what is done to whom.
            asker: the user behind the access token, or "" without one.
            flows: the ways to authenticate that are offered for this.
            body: the body of the request.

        Raises:
            UnfinishedError: 401, what is still needed.
            MatrixError: 400 ``M_UNKNOWN`` for a session that is not known (any more), ``M_BAD_JSON``, and 403
                ``M_FORBIDDEN`` for a proof that somebody else asks.
        """
        auth = body.get("auth")
        if auth is not None and not isinstance(auth, dict):
            raise bad_json("auth must be an object.")
        fields = {name: value for name, value in body.items() if name != "auth"}
        session = self._session(endpoint, asker, fields, auth)
        session.flows = flows
        if auth is not None and "type" in auth:
            failure = await self._go_through(auth["type"], auth, session)
            if failure is not None:
                raise self._unfinished(session, flows, failure)
        # Without a type the client asks whether what was done on the fallback pages is enough.
        if not any(list(flow) == session.completed for flow in flows):
            raise self._unfinished(session, flows, None)
        if not self._drop(session.session_id):
            raise _unknown_session()
        return Proof(json.loads(session.body), session.user_id, session.registration_token)

    def has_password(self, user_id: str) -> bool:
        """Whether a user can prove by password who they are."""
        account = self._accounts.get(user_id)
        return account is not None and account.password_hash is not None

    def fallback(self, session_id: str, stage: str) -> str | None:
        """Whether a stage of a session can be gone through on a page: what hinders that, or None.

        Args:
            session_id: the session, as the client's browser names it.
            stage: the type of the stage.
        """
        self._drop_ended()
        session = self._sessions.get(session_id)
        if session is None:
            return "This authentication session is unknown or has ended: please begin again in the app."
        if stage not in session.completed and not _is_next(stage, session.completed, session.flows):
            return "This step is not the next one: please go back to the app."
        return None

    async def go_through(self, session_id: str, stage: str, fields: dict[str, Any]) -> str | None:
        """Go through a stage on its page; answers what went wrong, or None.

        Raises:
            MatrixError: 401 ``M_USER_LOCKED``.
        """
        hindrance = self.fallback(session_id, stage)
        if hindrance is not None:
            return hindrance
        return await self._go_through(stage, fields, self._sessions[session_id])

    async def _go_through(self, stage: object, fields: dict[str, Any], session: _Session) -> str | None:
        """Try a stage, unless it is done; answers what went wrong, or None."""
        if not isinstance(stage, str):
            return "type must be a string."
        if stage in session.completed:
            return None
        if not _is_next(stage, session.completed, session.flows):
            return "This stage of authentication is not the next one."
        failure = await self._attempt(stage, fields, session)
        # Not kept twice, should two requests with the same stage have been under way at once.
        if failure is None and stage not in session.completed:
            session.completed.append(stage)
        return failure

    def _unfinished(self, session: _Session, flows: Flows, failure: str | None) -> UnfinishedError:
        """What is still needed, with the terms where they must be accepted."""
        params: dict[str, Any] = {}
        if any(TERMS in flow for flow in flows):
            version, url = self._settings.registration_terms_version, self._settings.registration_terms
            policy = {"version": version, "en": {"name": "Terms of use", "url": url}}
            params[TERMS] = {"policies": {"terms_of_use": policy}}
        return _unfinished(session, flows, failure, params)

    # Sessions --------------------------------------------------------------------------------------------------------

    def _session(self, endpoint: str, asker: str, fields: dict[str, Any], auth: dict[str, Any] | None) -> _Session:
        self._drop_ended()
        session_id = auth.get("session") if auth else None
        if session_id is None:
            return self._new_session(endpoint, asker, fields)
        session = self._sessions.get(session_id) if isinstance(session_id, str) else None
        if session is None or session.endpoint != endpoint or session.asker != asker:
            raise _unknown_session()
        # What was proved counts for what was asked then: later changes to the request are not taken over.
        if fields and not session.completed:
            before, session.body = session.body, _kept(fields)
            self._bytes += len(session.body) - len(before)
            self._trim()
        return session

    def _new_session(self, endpoint: str, asker: str, fields: dict[str, Any]) -> _Session:
        session = _Session(
            session_id=secrets.token_urlsafe(_SESSION_BYTES),
            endpoint=endpoint,
            asker=asker,
            body=_kept(fields),
            ends_ts=self._clock() + SESSION_MS,
            completed=[],
            user_id=asker,
        )
        self._keep(session)
        return session

    def _keep(self, session: _Session) -> None:
        self._sessions[session.session_id] = session
        self._bytes += len(session.body)
        self._trim()

    def _trim(self) -> None:
        while len(self._sessions) > MAX_SESSIONS or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._sessions)))

    def _drop(self, session_id: str) -> bool:
        """Forget a session; False where there is none (any more)."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._bytes -= len(session.body)
        return session is not None

    def _drop_ended(self) -> None:
        now = self._clock()
        while self._sessions:
            session_id, session = next(iter(self._sessions.items()))
            if session.ends_ts > now:
                return
            self._drop(session_id)

    # Stages ----------------------------------------------------------------------------------------------------------

    async def _attempt(self, stage: str, auth: dict[str, Any], session: _Session) -> str | None:
        """Try one stage; answers what went wrong, or None."""
        if stage == PASSWORD:
            return await self._password(auth, session)
        if stage == REGISTRATION_TOKEN:
            token = auth.get("token")
            if not isinstance(token, str) or not self._tokens.valid(token):
                return "This registration token is not valid."
            session.registration_token = token
        return None

    async def _password(self, auth: dict[str, Any], session: _Session) -> str | None:
        password = auth.get("password")
        if not isinstance(password, str):
            return "The password is missing."
        user_id = named_user(auth, self._settings.server_name) or session.asker
        # Checked also where the name is another's, so that whoever asks learns of it only with that one's password.
        right = bool(user_id) and await self._accounts.check_password(user_id, password)
        if not right:
            return "The username or the password is wrong."
        if session.asker and user_id != session.asker:
            raise forbidden("This is the password of another account than the one that asks.")
        account = self._accounts.get(user_id)
        if account is None or account.deactivated:
            return "This account was deactivated."
        if account.locked:
            raise locked_out()
        session.user_id = user_id
        return None


def _kept(fields: dict[str, Any]) -> bytes:
    """A request as it is kept until it is proved: as JSON, since objects take many times its length."""
    return json.dumps(fields, separators=(",", ":")).encode()


def _is_next(stage: object, completed: list[str], flows: Flows) -> bool:
    done = len(completed)
    return any(list(flow[:done]) == completed and len(flow) > done and flow[done] == stage for flow in flows)


def _unfinished(
    session: _Session, flows: Flows, failure: str | None, params: dict[str, Any] | None = None
) -> UnfinishedError:
    fields: dict[str, Any] = {
        "flows": [{"stages": list(flow)} for flow in flows],
        "params": params or {},
        "session": session.session_id,
    }
    if session.completed:
        fields["completed"] = list(session.completed)
    return UnfinishedError(fields, failure)


def _unknown_session() -> MatrixError:
    return MatrixError("M_UNKNOWN", "This authentication session is unknown or has ended: please begin again.", 400)
