"""How asking another server ends when it does not end well."""


class Unreachable(Exception):  # noqa: N818 - says what the server is
    """No answer that can be understood came from another server.

    Args:
        sentence: what happened, for a person.
        local: whether nothing was sent, since this server will not (blocked, switched off, waiting after failures).
    """

    def __init__(self, sentence: str, *, local: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.local = local


class Refused(Exception):  # noqa: N818 - says what the answer was
    """Another server answered, and the answer was no.

    Args:
        status: the HTTP status.
        errcode: Matrix's code; ``M_UNKNOWN`` where the answer had none.
        error: the sentence that came with it, cut where it is long.
        retry_after: the seconds that the other server asks to wait, or None.
    """

    def __init__(self, status: int, errcode: str, error: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {errcode}: {error}")
        self.status = status
        self.errcode = errcode
        self.error = error
        self.retry_after = retry_after

    @property
    def is_fault(self) -> bool:
        """Whether the server is in trouble or wants to be left alone, rather than having judged what was asked."""
        return self.status >= 500 or self.status in (408, 425, 429)

    @property
    def is_judgement(self) -> bool:
        """Whether the server itself has judged what was asked, so that it will not say otherwise soon: not what is in
        front of it while it is down, nor one that could not find out who asks.
        """
        return not self.is_fault and self.status != 401 and (self.status == 403 or self.errcode != "M_UNKNOWN")
