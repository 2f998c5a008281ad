"""Push rules (client-server API, "Push Rules: API")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.push_rules import PushRules
from appliance.errors import bad_json
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

_RULE = "/_matrix/client/v3/pushrules/global/{kind:str}/{rule_id:str}"


class PushRulesApi(Controller):
    """The user's push rules."""

    push_rules: PushRules

    @endpoint("GET", "/_matrix/client/v3/pushrules/")
    async def sets(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/

        Every set of rules, of which there is one: global.
        """
        return answer({"global": self.push_rules.all(request.requester.user_id)})

    @endpoint("GET", "/_matrix/client/v3/pushrules/global/")
    async def global_set(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/

        The global set of rules.
        """
        return answer(self.push_rules.all(request.requester.user_id))

    @endpoint("GET", _RULE)
    async def rule(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}

        One rule.
        """
        return answer(self.push_rules.rule(request.requester.user_id, kind, rule_id))

    @endpoint("PUT", _RULE)
    async def put(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}

        Adds a rule of the user's own, or changes one.
        """
        body = await request.object()
        before, after = request.query_text("before"), request.query_text("after")
        await self.push_rules.put(request.requester.user_id, kind, rule_id, body, before or None, after or None)
        return answer()

    @endpoint("DELETE", _RULE)
    async def delete(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}

        Removes a rule of the user's own.
        """
        await self.push_rules.delete(request.requester.user_id, kind, rule_id)
        return answer()

    @endpoint("GET", f"{_RULE}/enabled")
    async def enabled(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled

        Whether a rule is switched on.
        """
        return answer({"enabled": self.push_rules.rule(request.requester.user_id, kind, rule_id)["enabled"]})

    @endpoint("PUT", f"{_RULE}/enabled")
    async def enable(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled

        Switches a rule on or off.
        """
        enabled = (await request.object()).get("enabled")
        if not isinstance(enabled, bool):
            raise bad_json("enabled must be true or false.")
        await self.push_rules.enable(request.requester.user_id, kind, rule_id, enabled)
        return answer()

    @endpoint("GET", f"{_RULE}/actions")
    async def actions(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions

        What a rule does.
        """
        return answer({"actions": self.push_rules.rule(request.requester.user_id, kind, rule_id)["actions"]})

    @endpoint("PUT", f"{_RULE}/actions")
    async def act(self, request: Asked, kind: str, rule_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions

        Sets what a rule does.
        """
        actions = (await request.object()).get("actions")
        await self.push_rules.act(request.requester.user_id, kind, rule_id, actions)
        return answer()
