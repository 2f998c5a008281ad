"""What comes from other servers: events, and whole rooms."""
