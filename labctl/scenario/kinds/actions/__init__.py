"""What can be done to a lab in the timeline: one kind a file; see :mod:`labctl.scenario.kinds.action`."""
