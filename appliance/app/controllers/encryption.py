"""Every controller of the client-server API that is about encryption, bound to what it needs."""

from litestar import Controller

from appliance.accounts.interactive import Interactive
from appliance.api.client.cross_signing import CrossSigningApi
from appliance.api.client.dehydrated_devices import DehydratedDevicesApi
from appliance.api.client.key_backup import KeyBackupApi
from appliance.api.client.keys import DeviceKeysApi
from appliance.api.client.to_device import ToDeviceApi
from appliance.app.encrypting import Encrypting
from appliance.server.endpoints import bind
from appliance.sync.lineage import Lineage


def encryption_controllers(
    encrypting: Encrypting, lineage: Lineage, interactive: Interactive
) -> list[type[Controller]]:
    """The controllers of the client-server API that are about encryption."""
    return [
        bind(
            DeviceKeysApi,
            database=encrypting.database,
            uploads=encrypting.uploads,
            queries=encrypting.queries,
            claims=encrypting.claims,
            device_lists=encrypting.lists,
            lineage=lineage,
        ),
        bind(
            CrossSigningApi,
            cross_signing=encrypting.cross_signing,
            signatures=encrypting.signatures,
            interactive=interactive,
        ),
        bind(DehydratedDevicesApi, dehydration=encrypting.dehydration),
        bind(KeyBackupApi, backups=encrypting.backups),
        bind(ToDeviceApi, to_device=encrypting.to_device),
    ]
