"""The accounts that messages leave through: their administration and their health."""
