"""A leaderboard as a static site: no server, no network, readable from a file."""
