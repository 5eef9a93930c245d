"""Tests of the device families, against vectors with a source and over real pseudo-terminals and virtual radios."""
