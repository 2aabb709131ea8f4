"""What campaigns did with each client, in short: written by delivery and tracking, read by audience rules."""
