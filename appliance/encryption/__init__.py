"""End-to-end encryption, as far as a server has to do with it: keeping keys, carrying messages that it cannot read."""
