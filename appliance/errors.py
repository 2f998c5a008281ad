"""The two kinds of error that leave Hearth: one for Matrix clients and servers, one for the owner.

Both carry a sentence that a person can act on. Anything else that is raised is a bug and is answered with 500.
"""

from typing import Any


class MatrixError(Exception):
    """A refusal in Matrix's own terms: the standard error response of the client-server API, section "Standard error
    response".

    Args:
        errcode: the specification's code, such as ``M_FORBIDDEN``.
        message: a sentence for a person, sent as ``error``.
        status: the HTTP status.
        extra: further fields of the body, such as ``retry_after_ms`` or ``soft_logout``.
    """

    def __init__(self, errcode: str, message: str, status: int = 400, **extra: Any) -> None:
        super().__init__(f"{errcode}: {message}")
        self.errcode = errcode
        self.message = message
        self.status = status
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON object to answer with."""
        return {"errcode": self.errcode, "error": self.message, **self.extra}


def forbidden(message: str) -> MatrixError:
    """403 ``M_FORBIDDEN``."""
    return MatrixError("M_FORBIDDEN", message, 403)


def not_found(message: str) -> MatrixError:
    """404 ``M_NOT_FOUND``."""
    return MatrixError("M_NOT_FOUND", message, 404)


def unrecognized(message: str = "Hearth does not know this endpoint.", status: int = 404) -> MatrixError:
    """404 (unknown path) or 405 (unknown method) ``M_UNRECOGNIZED``."""
    return MatrixError("M_UNRECOGNIZED", message, status)


def bad_json(message: str) -> MatrixError:
    """400 ``M_BAD_JSON``: JSON, but not of the shape that was asked for."""
    return MatrixError("M_BAD_JSON", message, 400)


def not_json(message: str = "The body of the request is not valid JSON.") -> MatrixError:
    """400 ``M_NOT_JSON``."""
    return MatrixError("M_NOT_JSON", message, 400)


def invalid_param(message: str) -> MatrixError:
    """400 ``M_INVALID_PARAM``."""
    return MatrixError("M_INVALID_PARAM", message, 400)


def missing_param(message: str) -> MatrixError:
    """400 ``M_MISSING_PARAM``."""
    return MatrixError("M_MISSING_PARAM", message, 400)


def too_large(message: str) -> MatrixError:
    """413 ``M_TOO_LARGE``."""
    return MatrixError("M_TOO_LARGE", message, 413)


def limit_exceeded(retry_after_ms: int) -> MatrixError:
    """429 ``M_LIMIT_EXCEEDED``; the answer also carries ``Retry-After`` in whole seconds."""
    return MatrixError(
        "M_LIMIT_EXCEEDED", "Too many requests: please wait a little.", 429, retry_after_ms=retry_after_ms
    )


class OwnerError(Exception):
    """A mistake or a mishap that the owner can mend: what happened, what it means, what to do, in one or two sentences.

    Printed as it is, without a traceback, by the command line, and shown as it is by the wizard.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
