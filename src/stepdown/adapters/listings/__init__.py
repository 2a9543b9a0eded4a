"""What providers offer and when they stop: their lists, and a dated file of announced ends."""
