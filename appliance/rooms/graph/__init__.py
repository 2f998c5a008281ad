"""Events at the ends of a room's graph: building, placing, storing, resolving."""
