"""What rooms show of themselves to those outside: facts, the directory, spaces."""
