"""``hearth serve`` with 300 routes: what a start costs once the whole of the specification is there."""

import sys
from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.app import Hearth
from appliance.cli import main
from appliance.server.answers import answer
from appliance.server.endpoints import declaration_of, endpoint
from appliance.server.request import Asked

ROUTES = 300


def _filler(number: int) -> type[Controller]:
    """A controller with one endpoint more, with parameters as most have them."""
    path = f"/_matrix/client/unstable/bench/{number}/rooms/{{room_id:str}}/things/{{thing:str}}"

    async def thing(self: Any, request: Asked, room_id: str, thing: str) -> ASGIApp:
        return answer({"room_id": room_id, "thing": thing})

    thing.__doc__ = f"GET {path}"
    return type(f"Filler{number}", (Controller,), {"thing": endpoint("GET", path)(thing), "__module__": __name__})


def _paths(controller: type[Controller]) -> int:
    """How many routes a controller has."""
    return sum(len(declaration_of(each).paths) for each in vars(controller).values() if hasattr(each, "opt"))


if __name__ == "__main__":
    theirs = Hearth.controllers

    def controllers(hearth: Hearth) -> list[type[Controller]]:
        """Those of Hearth, filled up."""
        found = theirs(hearth)
        have = sum(_paths(base) for controller in found for base in controller.__mro__)
        return [*found, *(_filler(number) for number in range(max(0, ROUTES - have)))]

    Hearth.controllers = controllers  # type: ignore[method-assign,assignment]
    main(sys.argv[1:])
