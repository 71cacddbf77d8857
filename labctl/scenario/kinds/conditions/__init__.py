"""What can be waited for: one kind a file; see :mod:`labctl.scenario.kinds.condition`."""
