"""Tests of the family plx."""
