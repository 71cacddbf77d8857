"""Packet specs, sender, receiver, clocks, tally."""
