"""Nonin oximeters: serial data formats 2, 7, 8 and 13, and the 3230's own BLE record."""
