"""Tests of rules and alarms."""
