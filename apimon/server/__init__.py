"""What serves HTTP to a user's clients: the shop, and the middleware round any app."""
