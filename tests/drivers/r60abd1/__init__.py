"""Tests of the family r60abd1."""
