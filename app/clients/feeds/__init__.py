"""Accounts, balances, transactions and positions from files of the core systems, again and again."""
