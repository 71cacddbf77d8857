"""Plan, timeline, conditions, runner, journal."""
