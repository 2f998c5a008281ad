"""One order from the loop's side: the account it is placed with, the thread it runs in, what is heard from there."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from appliance.settings import Settings
from appliance.storage import certificates as rows
from appliance.storage.certificates import AcmeAccount
from appliance.storage.database import Database
from appliance.tls.certificate import Certificate
from appliance.tls.challenges import Challenges
from appliance.tls.orders import Authority, Course, Order, OrderError, Window
from appliance.tls.worker import in_thread

log = logging.getLogger("hearth.tls")


class Ordering:
    """Places orders, one at a time.

    Args:
        database: where accounts are kept.
        settings: read at use.
        challenges: gets the answers that the http listener gives.
        authority: carries the orders out; by default by ACME, loaded in the thread of the first order.
    """

    def __init__(
        self, database: Database, settings: Settings, challenges: Challenges, authority: Authority | None
    ) -> None:
        self._database = database
        self._settings = settings
        self._challenges = challenges
        self._given = authority
        self._course: Course | None = None

    async def obtain(
        self, directory: str, names: tuple[str, ...], replaces: str | None, tell: Callable[[str, str], None]
    ) -> Certificate:
        """Order a certificate and wait for it.

        Args:
            directory: the address of the ACME directory.
            names: what it is to be for.
            replaces: the certificate (PEM) that it succeeds.
            tell: called on the loop with what was done and what is being done, as ``Course.tell``.

        Raises:
            OrderError: why there is none.
            StorageError: where the account could not be kept.
        """
        account = await self._account(directory)
        uris: list[str] = []
        loop = asyncio.get_running_loop()

        def heard(done: str, now: str) -> None:
            if self._course is course:
                tell(done, now)

        def tell_from_thread(done: str, now: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(heard, done, now)

        course = self._course = Course(tell_from_thread, uris.append, self._challenges)
        order = Order(
            directory=directory,
            names=names,
            account_key=account.key_pem,
            account_uri=account.uri,
            ca_file=self._settings.tls_ca_file,
            replaces=replaces,
        )
        try:
            return await in_thread(lambda: self._authority().obtain(order, course), "hearth-acme")
        except OrderError:
            raise
        except Exception as error:
            log.exception("Ordering a certificate failed in an unforeseen way.")
            raise OrderError("crashed", detail=repr(error)) from error
        finally:
            self._course = None
            if uris:
                registered = AcmeAccount(directory, account.key_pem, uris[-1])
                await self._database.write(lambda tx: rows.save_account(tx, registered))

    async def renewal_window(self, certificate: Certificate) -> Window | None:
        """When the authority suggests to renew; None where it makes no suggestions.

        Raises:
            OrderError: where that could not be learnt.
        """
        directory, ca_file = certificate.directory or "", self._settings.tls_ca_file
        return await in_thread(
            lambda: self._authority().renewal_window(directory, ca_file, certificate.chain_pem), "hearth-renewal-info"
        )

    def stop(self) -> None:
        """Have an order that is on its way end before its next request."""
        if self._course is not None:
            self._course.stopped.set()

    async def _account(self, directory: str) -> AcmeAccount:
        """Our account there. Its key is stored before the authority hears of it: if we die in between, the same key
        finds the same account."""
        known = rows.account(self._database, directory)
        if known is not None:
            return known
        account = AcmeAccount(directory, await in_thread(_new_key, "hearth-key"))
        await self._database.write(lambda tx: rows.save_account(tx, account))
        return account

    def _authority(self) -> Authority:
        """Whoever carries out orders. Called in the thread, since the library takes a while to load."""
        if self._given is None:
            from appliance.tls.client import AcmeAuthority

            self._given = AcmeAuthority()
        return self._given


def _new_key() -> str:
    from appliance.tls import making

    return making.new_key()
