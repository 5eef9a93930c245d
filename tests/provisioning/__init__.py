"""Tests of set-up and registry."""
