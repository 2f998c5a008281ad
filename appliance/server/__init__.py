"""Granian listeners, the outer wrapper, who is asking, error mapping, the owner's socket."""
