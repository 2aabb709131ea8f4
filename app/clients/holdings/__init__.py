"""What clients hold: accounts, what lies on them, what moves on them, and the products bought."""
