"""Tests of the files in systemd/: read as text, judged by systemd-analyze, and booted under a real systemd."""
