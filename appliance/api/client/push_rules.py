"""Push rules, for reading: today everybody has those that the specification predefines."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import not_found
from appliance.protocol.push_rules import Rule, default_rules
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

_RULE = "/_matrix/client/v3/pushrules/global/{kind:str}/{rule_id:str}"


class PushRules(Controller):
    """The user's push rules."""

    @endpoint("GET", "/_matrix/client/v3/pushrules/")
    async def sets(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/

        Every set of rules, of which there is one: global.
        """
        return answer({"global": default_rules(request.requester.user_id)})

    @endpoint("GET", "/_matrix/client/v3/pushrules/global/")
    async def global_set(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/

        The global set of rules.
        """
        return answer(default_rules(request.requester.user_id))

    @endpoint("GET", _RULE)
    async def rule(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}

        One rule.
        """
        return answer(_found(request, kind, rule_id))

    @endpoint("GET", f"{_RULE}/enabled")
    async def enabled(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled

        Whether a rule is switched on.
        """
        return answer({"enabled": _found(request, kind, rule_id)["enabled"]})

    @endpoint("GET", f"{_RULE}/actions")
    async def actions(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions

        What a rule does.
        """
        return answer({"actions": _found(request, kind, rule_id)["actions"]})


def _found(request: Asked, kind: str, rule_id: str) -> Rule:
    for rule in default_rules(request.requester.user_id).get(kind, ()):
        if rule["rule_id"] == rule_id:
            return rule
    raise not_found("There is no such push rule.")
