"""Other servers: the keys that we publish."""
