"""What changed for whom: the notifier and sync v2."""
