"""The simulation: a packet's path through the virtual topology, as a pure function of a snapshot.

Does no I/O; knows neither the kernel nor the state database.
"""
