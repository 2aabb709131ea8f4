"""`make chaos`: a campaign is delivered while everything around it breaks, and nothing may be lost or doubled."""
