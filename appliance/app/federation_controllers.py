"""Every controller of what other servers ask about rooms, bound to what it needs."""

from litestar import Controller

from appliance.api.federation.devices import DevicesForServersApi
from appliance.api.federation.events import EventsApi
from appliance.api.federation.inviting import InvitingApi
from appliance.api.federation.joining import JoiningApi
from appliance.api.federation.knocking import KnockingHereApi
from appliance.api.federation.leaving import LeavingApi
from appliance.api.federation.public_rooms import PublicRoomsForServersApi
from appliance.api.federation.queries import QueriesApi
from appliance.api.federation.spaces import SpacesForServersApi
from appliance.api.federation.third_party import ThirdPartyApi
from appliance.api.federation.transactions import TransactionsApi
from appliance.app.between import Between
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.server.endpoints import bind


def federation_controllers(owning: Owning, living: Living, between: Between) -> list[type[Controller]]:
    """The controllers.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        between: rooms that servers share.
    """
    shaking = {"templates": between.templates, "handshakes": between.handshakes}
    encrypting = living.encrypting
    return [
        bind(
            DevicesForServersApi,
            database=owning.database,
            queries=encrypting.queries,
            claims=encrypting.claims,
            lists=encrypting.local_lists,
        ),
        bind(EventsApi, past=between.past),
        bind(InvitingApi, invitations=between.invitations),
        bind(JoiningApi, **shaking),
        bind(KnockingHereApi, **shaking),
        bind(LeavingApi, **shaking),
        bind(PublicRoomsForServersApi, directory=living.directory),
        bind(QueriesApi, aliases=living.aliases, profiles=living.profiles, settings=owning.settings),
        bind(SpacesForServersApi, spaces=between.spaces),
        bind(ThirdPartyApi),
        bind(TransactionsApi, inbox=between.inbox),
    ]
