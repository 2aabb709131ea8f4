"""What a campaign is to bring, by branch, adviser, tier and week, and what it has brought and will have brought."""
