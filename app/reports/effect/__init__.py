"""What a campaign caused: the treated against the control group, as assigned, and what follows from it."""
