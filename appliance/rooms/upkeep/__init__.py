"""What is cleared away at quiet times."""
