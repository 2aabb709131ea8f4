"""Who is contacted and who is not, who gets which variant, and what a test of variants shows."""
