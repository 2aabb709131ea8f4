"""Mail that comes in: kept as it came, then read: replies, bounces, complaints; from a webhook or a polled mailbox."""
