"""Which clients had which outcome, kept as sets, so that a report reads some bitmaps and never the messages."""
