"""The kernel's part of the overlay: an eBPF flow cache, its devices, and the channel to the agent.

Knows keys, entries and interfaces; never knows the virtual networks or why an entry exists.
"""
