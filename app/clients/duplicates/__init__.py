"""Clients who are in the book twice: found, shown, merged."""
