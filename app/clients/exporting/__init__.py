"""Lists of clients that leave the house: who may take what, marked and expiring."""
