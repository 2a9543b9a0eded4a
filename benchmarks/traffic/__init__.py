"""Traffic whose truth is known, to measure threshold rules on; imported by benchmarks and tests."""
