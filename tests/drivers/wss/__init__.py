"""Tests of the family wss."""
