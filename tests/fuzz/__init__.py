"""Requests made up from the specification's description, allowed and not."""
