"""The state database: sessions with ZooKeeper, transactions, and a host's mirror of it.

Knows documents and the rules of the configuration; never knows the datapath, labs or operators.
"""
