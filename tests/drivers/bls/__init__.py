"""Tests of the family bls."""
