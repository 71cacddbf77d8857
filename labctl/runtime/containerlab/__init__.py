"""The containerlab runtime: runs the containerlab program, and calls the Docker engine for each node.

Knows the containerlab file format and one lab's containers; never knows faults, scenarios or other labs.
"""
