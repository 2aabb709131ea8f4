"""Which hits were made by machines: the rules, the verdicts, and judging anew when the rules change."""
