"""The client-server API, one file a module of the specification."""
