"""Tests of the virtual ward."""
