"""What stands behind the figures that no single campaign's report has: lists of clients, or of account openings."""
