"""What is computed of each client from balances, transactions and contacts: one wide row, kept by a nightly job."""
