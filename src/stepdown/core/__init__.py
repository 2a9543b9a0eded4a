"""Values and pure functions: what a task, a tier, a policy and a trace are, and the one decision."""
