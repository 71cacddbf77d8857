"""The life of a lab: state, lock, readiness, convergence, cleanup.

Knows definitions and the protocol of a runtime (:mod:`labctl.lab.runtime`); never knows which runtime runs a
lab, nor scenarios, faults or verdicts.
"""
