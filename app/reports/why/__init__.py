"""Why one client did, or did not, get one campaign: every rule, fact and piece of evidence on one page."""
