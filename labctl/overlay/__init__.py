"""The overlay: configuration, state database, simulation, datapath, agent, and the operator's client.

Everything but :mod:`labctl.overlay.client` runs inside nodes or is pure; none of it knows scenarios or
verdicts.
"""
