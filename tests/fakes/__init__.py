"""Small real implementations of the seams: a log with groups and transactions, and a store, both in memory."""
