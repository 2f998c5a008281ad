"""Hearth, a Matrix homeserver as an appliance."""
