"""How what was sent arrives: by account and receiving domain, with alarms, and the records that receivers look up."""
