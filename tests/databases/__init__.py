"""Databases as older versions wrote them, as SQL dumps: every migration is tested from one."""
