"""When to order: renewal times and the growing waits after failures. Pure; times are milliseconds since 1970."""

from appliance.storage.certificates import Certificate

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_WAITS = (
    *(minutes * MINUTE for minutes in (1, 2, 2, 5, 10, 10, 10, 20, 20, 20, 20)),
    *(30 * MINUTE for _ in range(7)),
    *(hours * HOUR for hours in (1, 1, 1, 2, 2, 3, 3)),
)
"""CertMagic's ladder: quick while the owner may be at it, slow enough for the limits of the authority after."""
_LAST_WAIT = 6 * HOUR
_TIRED_AFTER = 30 * DAY
"""Then an order a day: an authority that counts failures in a row pauses a name only after years of that."""

SHORT_LIFE = 10 * DAY
"""A certificate that lives shorter than this is renewed at half its life (Let's Encrypt's advice)."""
CHECK_DEFAULT = 6 * HOUR
"""How long a suggestion of renewal information stands where the authority does not say (RFC 9773, section 4.3.3)."""
_CHECK_LEAST, _CHECK_MOST = MINUTE, 12 * HOUR


def wait_after(failures: int, since_first: int) -> int:
    """How long to wait after so many failures in a row, the first of them ``since_first`` ago (ms)."""
    if since_first >= _TIRED_AFTER:
        return DAY
    return _WAITS[failures - 1] if failures <= len(_WAITS) else _LAST_WAIT


def renewal_time(certificate: Certificate) -> int:
    """When a certificate is to be renewed: when the authority suggested, else when a third of its life is left, or half
    of it if it is short-lived. A suggestion never delays it beyond the last sixth."""
    life = certificate.not_after - certificate.not_before
    if certificate.renew_at is not None:
        return min(certificate.renew_at, certificate.not_after - life // 6)
    return certificate.not_after - (life // 2 if life < SHORT_LIFE else life // 3)


def within_window(start: int, end: int, chosen: int | None, fraction: float) -> int:
    """The moment in a suggested window at which to renew.

    Args:
        start: begin of the window.
        end: end of the window.
        chosen: the moment chosen earlier; it stands while the window still holds it.
        fraction: where in the window otherwise, from 0 to 1; drawn by lot, so that not all servers come at once.
    """
    if chosen is not None and start <= chosen <= end:
        return chosen
    return start + round(max(end - start, 0) * fraction)


def next_check(now: int, retry_after: float | None) -> int:
    """When to ask for renewal information again, given the authority's Retry-After (seconds): at least twice a day."""
    wait = CHECK_DEFAULT if retry_after is None else round(retry_after * SECOND)
    return now + min(max(wait, _CHECK_LEAST), _CHECK_MOST)
