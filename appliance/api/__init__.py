"""Thin controllers over the services."""
