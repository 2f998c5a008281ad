"""Signs of life that are no events: receipts, typing."""
