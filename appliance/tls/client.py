"""Orders carried out with the ``acme`` library (RFC 8555). It blocks and takes a while to load, so this module is
imported in the thread of an order and nowhere else.

Written against acme 5.9: ``replaces`` and the choice of a profile are ours.
"""

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import requests
from acme import challenges as acme_challenges
from acme import client, errors, messages
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy import errors as josepy_errors
from josepy import json_util, jwk

from appliance.tls import inspection, making
from appliance.tls.certificate import Certificate, covers, is_address
from appliance.tls.network import Network, problem_of, problem_of_validation, retry_after
from appliance.tls.orders import Course, Order, OrderError, Window

T = TypeVar("T")

PROFILES = ("tlsserver", "classic", "default", "shortlived")
"""Which profile is taken, the first of these that is offered. ``tlsserver`` is Let's Encrypt's for servers."""
PROFILES_FOR_ADDRESSES = ("shortlived", *PROFILES)
"""The same where an IP address is to be certified, which Let's Encrypt does in short-lived certificates only."""

_ASK_SECONDS = 60.0
"""How long asking for renewal information may take."""


class _NewOrder(messages.NewOrder):
    """An order that may name the certificate it succeeds (RFC 9773, section 5)."""

    replaces: str | None = json_util.field("replaces", omitempty=True)


class _Client(client.ClientV2):
    """The library's client with orders of ours."""

    net: Network

    def order(self, request_pem: bytes, names: tuple[str, ...], replaces: str | None) -> messages.OrderResource:
        """Place an order, of a profile that is named if the directory lists any."""
        identifiers = [
            messages.Identifier(
                typ=messages.IDENTIFIER_IP if is_address(name) else messages.IDENTIFIER_FQDN, value=name
            )
            for name in names
        ]
        profile = pick_profile(self.directory.meta.profiles or {}, any(is_address(name) for name in names))
        new_order = _NewOrder(identifiers=identifiers, profile=profile, replaces=replaces)
        response = self._post(self.directory["newOrder"], new_order)
        body = messages.Order.from_json(response.json())
        authorizations = [self.authorization(url)[0] for url in body.authorizations]
        return messages.OrderResource(
            body=body, uri=response.headers["Location"], authorizations=authorizations, csr_pem=request_pem
        )

    def authorization(self, url: str) -> tuple[messages.AuthorizationResource, requests.Response]:
        """An authorisation as it stands, and the answer that told it."""
        response = self._post_as_get(url)
        return self._authzr_from_response(response, uri=url), response

    def order_now(self, uri: str) -> tuple[messages.Order, requests.Response]:
        """An order as it stands, and the answer that told it."""
        response = self._post_as_get(uri)
        return messages.Order.from_json(response.json()), response

    def certificate(self, uri: str) -> str:
        """The full chain of an issued certificate."""
        text: str = self._post_as_get(uri).text
        return text


def pick_profile(offered: Mapping[str, str], addresses: bool) -> str | None:
    """The profile to order; None only where the directory lists none.

    Args:
        offered: the directory's profiles.
        addresses: whether an IP address is to be certified.
    """
    wanted = PROFILES_FOR_ADDRESSES if addresses else PROFILES
    return next((name for name in wanted if name in offered), min(offered, default=None))


class AcmeAuthority:
    """Carries out orders (``orders.Authority``) by ACME. Holds nothing: every call is a conversation of its own."""

    def obtain(self, order: Order, course: Course) -> Certificate:
        """See ``orders.Authority``."""
        try:
            return _Conversation(order, course).run()
        except (josepy_errors.Error, errors.Error, requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise problem_of(error) from error

    def renewal_window(self, directory: str, ca_file: str, chain_pem: str) -> Window | None:
        """See ``orders.Authority``."""
        network = Network(None, ca_file, _ASK_SECONDS, threading.Event())
        try:
            base = network.get(directory).json().get("renewalInfo")
            identifier = inspection.renewal_identifier(chain_pem)
            if not base or not identifier:
                return None
            response = network.get(f"{base.rstrip('/')}/{identifier}")
            window = messages.RenewalInfo.from_json(response.json()).suggested_window
            start, end = (round(moment.timestamp() * 1000) for moment in (window.start, window.end))
        except (josepy_errors.Error, errors.Error, requests.RequestException, ValueError, AttributeError) as error:
            raise problem_of(error) from error
        finally:
            network.session.close()
        return Window(start, end, retry_after(response))


class _Conversation:
    """One order from the directory to the chain."""

    def __init__(self, order: Order, course: Course) -> None:
        self._order = order
        self._course = course
        self._key = jwk.JWKEC(key=load_pem_private_key(order.account_key.encode(), None))
        self._tokens: list[str] = []

    def run(self) -> Certificate:
        """Do it all, and leave no challenge answered behind."""
        self._network = Network(self._key, self._order.ca_file, self._order.seconds, self._course.stopped)
        try:
            return self._run()
        finally:
            self._network.session.close()
            for token in self._tokens:
                self._course.challenges.remove(token)

    def _run(self) -> Certificate:
        tell, order = self._course.tell, self._order
        names = ", ".join(order.names)
        tell("", "Calling the certificate authority.")
        directory = _Client.get_directory(order.directory, self._network)
        self._client = _Client(directory, self._network)
        tell("The certificate authority answers.", "Preparing an account there.")
        if order.account_uri:
            self._use_account(order.account_uri)
        else:
            self._register()
        tell("The account at the authority is ready.", f"Ordering a certificate for {names}.")
        certificate_key = making.new_key()
        placed = self._place(making.signing_request(certificate_key, order.names))
        tell(f"The authority took the order for {names}.", "Showing it that the names lead to this server.")
        self._authorize(placed)
        tell("The authority has seen that the names lead to this server.", "Waiting for the certificate.")
        chain = self._finalize(placed)
        certificate = inspection.describe(chain, certificate_key, "acme", order.directory)
        if not covers(certificate, order.names):
            raise OrderError("not-acme", detail=f"The certificate is for {', '.join(certificate.names)}.")
        tell("The certificate was issued.", "Putting it into use.")
        return certificate

    def _use_account(self, uri: str) -> None:
        self._network.account = messages.RegistrationResource(uri=uri, body=messages.Registration())

    def _register(self) -> None:
        """Make the account, or find it again if this key has one."""
        if self._client.external_account_required():
            raise OrderError("externalAccountRequired")
        self._network.account = None
        try:
            made = self._client.new_account(messages.NewRegistration(terms_of_service_agreed=True))
            uri = made.uri
        except errors.ConflictError as known:
            uri = known.location
            self._use_account(uri)
        self._course.registered(uri)

    def _place(self, request_pem: bytes) -> messages.OrderResource:
        """Place the order. An authority that has forgotten our account gets to know it again; one that does not like
        what the order replaces gets it without."""
        replaces = inspection.renewal_identifier(self._order.replaces) if self._order.replaces else None
        if "renewalInfo" not in self._client.directory.to_partial_json():
            replaces = None
        try:
            return self._placed(request_pem, replaces)
        except (errors.ConflictError, messages.Error) as error:
            if replaces is None or getattr(error, "code", None) == "rateLimited":
                raise
        return self._placed(request_pem, None)

    def _placed(self, request_pem: bytes, replaces: str | None) -> messages.OrderResource:
        try:
            return self._client.order(request_pem, self._order.names, replaces)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
        self._register()
        return self._client.order(request_pem, self._order.names, replaces)

    def _authorize(self, placed: messages.OrderResource) -> None:
        """Answer the challenges of all names that are not proven already, and wait for what the authority says."""
        waiting: list[messages.AuthorizationResource] = []
        for authorization in placed.authorizations:
            name = authorization.body.identifier.value
            if authorization.body.status == messages.STATUS_VALID:
                self._course.tell(f"{name} was proven to lead here before.", "")
            elif authorization.body.status == messages.STATUS_PENDING:
                self._answer(authorization)
                waiting.append(authorization)
            else:
                raise problem_of_validation([authorization])
        done = [self._decided(authorization) for authorization in waiting]
        failed = [authorization for authorization in done if authorization.body.status != messages.STATUS_VALID]
        if failed:
            raise problem_of_validation(failed)

    def _answer(self, authorization: messages.AuthorizationResource) -> None:
        name = authorization.body.identifier.value
        for challenge in authorization.body.challenges:
            if isinstance(challenge.chall, acme_challenges.HTTP01):
                answer = challenge.chall.key_authorization(self._key)
                token = challenge.chall.encode("token")
                self._tokens.append(token)
                self._course.challenges.put(token, answer)
                self._course.tell("", f"The authority looks whether {name} leads here, at port 80.")
                self._client.answer_challenge(challenge, challenge.chall.response(self._key))
                return
        raise OrderError("no-http-01", names=[name])

    def _decided(self, authorization: messages.AuthorizationResource) -> messages.AuthorizationResource:
        """Wait until the authority has made up its mind on a name."""

        def look() -> tuple[messages.AuthorizationResource | None, requests.Response]:
            current, response = self._client.authorization(authorization.uri)
            return None if current.body.status == messages.STATUS_PENDING else current, response

        return self._poll(look)

    def _finalize(self, placed: messages.OrderResource) -> str:
        """Hand in the signing request and wait for the chain."""

        def look() -> tuple[messages.Order | None, requests.Response]:
            current, response = self._client.order_now(placed.uri)
            if current.status == messages.STATUS_READY:
                self._hand_in(placed)
            waiting = (messages.STATUS_PENDING, messages.STATUS_READY, messages.STATUS_PROCESSING)
            return None if current.status in waiting else current, response

        self._hand_in(placed)
        order = self._poll(look)
        if order.status != messages.STATUS_VALID or not order.certificate:
            if order.error:
                raise problem_of(order.error)
            raise OrderError("serverInternal", detail="The order became invalid.")
        return self._client.certificate(order.certificate)

    def _hand_in(self, placed: messages.OrderResource) -> None:
        try:
            self._client.begin_finalization(placed)
        except messages.Error as error:
            # It has not noticed yet that all names are proven: look() hands it in again when it has.
            if error.code != "orderNotReady":
                raise

    def _poll(self, look: Callable[[], tuple[T | None, requests.Response]]) -> T:
        """Ask again until there is a decision, at the pace that the authority names, else at a growing one."""
        pace = 0.25
        while True:
            decided, response = look()
            if decided is not None:
                return decided
            asked = retry_after(response)
            self._network.pause(pace if asked is None else min(asked, 30.0))
            pace = min(pace * 1.5, 5.0)
