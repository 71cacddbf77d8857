"""The agent of a compute host or gateway: simulates first packets, keeps flow entries up to date.

Runs inside a node. Knows its own host, the mirror and the datapath; never knows labctl's runtimes or the
operator.
"""
