"""What the owner does: the claim, the set-up, commands; shared by wizard, command line and socket."""
