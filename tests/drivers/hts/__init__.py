"""Tests of the family hts."""
