"""Sync from within: what it asks the database, and whom it wakes."""
