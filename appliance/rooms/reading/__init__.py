"""What may be read of a room: its history, its events, its state."""
