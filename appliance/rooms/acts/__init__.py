"""What people do with rooms: make them, come and go, send, upgrade, name."""
