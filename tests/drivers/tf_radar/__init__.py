"""Tests of the family tf_radar."""
