"""Figures of speed and size, each with the bar from its issue: python -m tests.benchmarks NAME --json FILE."""
