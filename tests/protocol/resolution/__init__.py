"""Cases of state resolution as data, what reads them, and a resolver that follows the specification word for word."""
