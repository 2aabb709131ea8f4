"""Tags: words that staff put on clients, on one or on many at once."""
