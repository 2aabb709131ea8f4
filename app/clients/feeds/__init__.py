"""Files that arrive again and again: accounts, balances, transactions, positions and facts of clients."""
