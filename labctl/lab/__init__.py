"""The life of a lab: state, lock, readiness, convergence, cleanup. Every runtime stands behind one seam."""
