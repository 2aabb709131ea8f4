"""Account openings: taken, matched to clients, claimed by campaigns, judged by their rule and followed."""
