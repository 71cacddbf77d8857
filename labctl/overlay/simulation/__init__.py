"""The simulation: a packet's way through the virtual topology, as a pure function of a snapshot."""
