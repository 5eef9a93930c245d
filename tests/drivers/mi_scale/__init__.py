"""Tests of the family mi_scale."""
