"""The kernel's part of the overlay: an eBPF flow cache, its devices, and the way to the agent."""
