"""Lead forms: a hosted page per campaign where people leave their name and how to reach them."""
