"""What is tried out in a campaign: its control group and the variants of its steps."""
