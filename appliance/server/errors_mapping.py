"""What goes wrong, as answers: Matrix's own errors as they are, anything else as one that gives nothing away."""

import logging
from typing import Any, cast

import orjson
from litestar import Request
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.response import Response

from appliance.errors import MatrixError, OwnerError, bad_json, not_json, too_large, unrecognized
from appliance.server.answers import Answer

log = logging.getLogger("hearth.server")


class Refusal(Answer):
    """An error answer that Litestar takes in the place of one of its own responses."""

    __slots__ = ()

    def to_asgi_response(self, **_: Any) -> Answer:
        """The same; Litestar asks its responses for this."""
        return self


def refusal(error: MatrixError) -> Refusal:
    """The standard error response: errcode, sentence, and ``Retry-After`` where there is something to wait for. Where
    the request did not come whole, the connection ends with it (RFC 9110, "408 Request Timeout"), which else may wait
    for the rest.
    """
    headers = {b"connection": b"close"} if error.status == 408 else None
    if "retry_after_ms" in error.extra:
        headers = {b"retry-after": str(-(-error.extra["retry_after_ms"] // 1000)).encode()}
    return Refusal(orjson.dumps(error.body()), error.status, headers=headers)


def as_matrix_error(error: Exception, request_id: str) -> MatrixError:
    """The Matrix error for anything that was raised; what nobody expected goes to the log.

    Args:
        error: what was raised.
        request_id: names the request, in the log and in the answer.
    """
    if isinstance(error, MatrixError):
        return error
    if isinstance(error, SerializationException):
        return not_json()
    if isinstance(error, ValidationException):
        return bad_json("The request does not have the shape that this endpoint takes.")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _from_litestar(error)
    if isinstance(error, OwnerError):
        log.error("%s", error.message, extra={"fields": {"request": request_id}})
        return MatrixError("M_UNKNOWN", "This server has a problem that its owner has to look after.", 503)
    log.error("A request failed.", exc_info=error, extra={"fields": {"request": request_id}})
    return MatrixError("M_UNKNOWN", f"Something went wrong on this server (request {request_id}).", 500)


def answer_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Litestar's exception handler for everything."""
    request_id = cast("str", request.scope.get("request_id", "-"))
    return cast("Response[Any]", refusal(as_matrix_error(error, request_id)))


def _from_litestar(error: HTTPException) -> MatrixError:
    match error.status_code:
        case 404:
            return unrecognized()
        case 405:
            return unrecognized("This endpoint does not know that method.", 405)
        case 413:
            return too_large("The body of this request is too large.")
        case _:
            return MatrixError("M_UNKNOWN", "This request cannot be understood.", error.status_code)
