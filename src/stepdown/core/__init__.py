"""Values and pure functions: tasks, tiers, policies, traces, and the one decision."""
