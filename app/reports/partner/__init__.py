"""What a partner bank may see of a joint campaign: aggregates, and none small enough to point at anybody."""
