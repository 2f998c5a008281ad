"""Every controller of the client-server and the server-server API, bound to what it needs."""

from litestar import Controller

from appliance.accounts.interactive import Interactive
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.short_tokens import ShortTokens
from appliance.app.between import Between
from appliance.app.controllers.accounts import account_controllers
from appliance.app.controllers.encryption import encryption_controllers
from appliance.app.controllers.federation import federation_controllers
from appliance.app.controllers.rooms import room_controllers
from appliance.app.federating import Federating
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.server.limits import Limits
from appliance.server.waiting import Waiting


def api_controllers(
    owning: Owning, living: Living, federating: Federating, between: Between, waiting: Waiting, limits: Limits
) -> list[type[Controller]]:
    """The controllers of both APIs, and of what else is asked over the same listeners.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        federating: other servers.
        between: rooms that they share.
        waiting: the long polls in flight.
        limits: how often anybody may ask.
    """
    tokens, short_tokens = RegistrationTokens(owning.database), ShortTokens(owning.database)
    interactive = Interactive(owning.accounts, tokens, owning.settings)
    return [
        *account_controllers(owning, living, between, limits, interactive, tokens, short_tokens),
        *room_controllers(owning, living, between, waiting),
        *encryption_controllers(living.encrypting, living.syncing.lineage, interactive),
        *federation_controllers(owning, living, federating, between, short_tokens),
    ]
