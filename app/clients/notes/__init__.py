"""What staff wrote down about a client."""
