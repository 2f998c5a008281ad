"""Bodies of requests whose fields are read more than once: before and after an interactive authentication."""

from typing import Any, TypeVar

import msgspec

from appliance.errors import bad_json, missing_param

T = TypeVar("T")


def as_struct(body: dict[str, Any], kind: type[T]) -> T:
    """A body as a msgspec Struct; unknown fields are ignored.

    Raises:
        MatrixError: ``M_MISSING_PARAM`` or ``M_BAD_JSON``, naming the field.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        if "missing required field" in str(error):
            raise missing_param(f"{error}.") from error
        raise bad_json(f"{error}.") from error
