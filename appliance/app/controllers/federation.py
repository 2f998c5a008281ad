"""Every controller of what other servers ask, bound to what it needs."""

from litestar import Controller

from appliance.accounts.short_tokens import ShortTokens
from appliance.api.federation.devices import DevicesForServersApi
from appliance.api.federation.events import EventsApi
from appliance.api.federation.inviting import InvitingApi
from appliance.api.federation.keys import KeysApi
from appliance.api.federation.openid import UserInfoApi
from appliance.api.federation.public_rooms import PublicRoomsForServersApi
from appliance.api.federation.queries import QueriesApi
from appliance.api.federation.shaking import ShakingApi
from appliance.api.federation.spaces import SpacesForServersApi
from appliance.api.federation.third_party import ThirdPartyApi
from appliance.api.federation.transactions import TransactionsApi
from appliance.api.federation.version import VersionApi
from appliance.app.between import Between
from appliance.app.federating import Federating
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.server.endpoints import bind


def federation_controllers(
    owning: Owning, living: Living, federating: Federating, between: Between, short_tokens: ShortTokens
) -> list[type[Controller]]:
    """The controllers.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        federating: other servers.
        between: rooms that servers share.
        short_tokens: tokens that are good for one thing and a short time, such as to say who somebody is.
    """
    shaking = {"templates": between.templates, "handshakes": between.handshakes}
    encrypting = living.encrypting
    return [
        bind(
            DevicesForServersApi,
            database=owning.database,
            claims=encrypting.claims,
            lists=encrypting.local_lists,
        ),
        bind(EventsApi, past=between.past),
        bind(KeysApi, published=federating.published, notary=federating.notary),
        bind(InvitingApi, invitations=between.invitations),
        bind(ShakingApi, **shaking),
        bind(PublicRoomsForServersApi, directory=living.shown.directory),
        bind(QueriesApi, aliases=living.acts.aliases, profiles=living.people.profiles, settings=owning.settings),
        bind(SpacesForServersApi, spaces=between.spaces),
        bind(ThirdPartyApi),
        bind(UserInfoApi, short_tokens=short_tokens),
        bind(VersionApi),
        bind(TransactionsApi, inbox=between.inbox),
    ]
