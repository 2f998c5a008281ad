"""The command line and the owner's commands behind it."""
