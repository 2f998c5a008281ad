"""Certificates: ACME, the store, renewal."""
