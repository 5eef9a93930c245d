"""Tests of the family line_scale."""
