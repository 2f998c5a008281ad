"""Complement, the conformance suite of the Matrix project, against Hearth: see README.md beside this."""
