"""Users, devices, sessions, interactive authentication, profiles, account data, registration."""
