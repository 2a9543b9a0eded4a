"""What providers say they charged: exports of usage and cost."""
