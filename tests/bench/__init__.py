"""How fast Hearth is, and at what cost: `just bench` prints figures beside their goals. Nothing here is asserted."""
