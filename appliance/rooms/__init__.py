"""The living room: building and accepting events, state, membership, timeline."""
