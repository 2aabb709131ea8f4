"""What an adviser says in a call or visit."""
