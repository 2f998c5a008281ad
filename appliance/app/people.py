"""What accounts have of their own beside their logins, put together: profiles, data, rules."""

from appliance.accounts.account_data import AccountData
from appliance.accounts.ignored import Ignored
from appliance.accounts.invite_rules import InviteRules
from appliance.accounts.profiles import Profiles
from appliance.accounts.push_rules import PushRules
from appliance.app.owning import Owning


class People:
    """Profiles, account data, and the rules that people made.

    Args:
        owning: settings and accounts.
    """

    def __init__(self, owning: Owning) -> None:
        database = owning.database
        self.ignored = Ignored(database)
        self.invite_rules = InviteRules(database, self.ignored)
        self.profiles = Profiles(database, owning.accounts, self.invite_rules, owning.settings)
        self.account_data = AccountData(database)
        self.push_rules = PushRules(database, self.account_data)
        owning.sessions.listeners.append(self.account_data)
