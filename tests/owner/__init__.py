"""The owner: answers file, claim, set-up."""
