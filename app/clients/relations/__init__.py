"""Who belongs together: households, and who brought whom."""
