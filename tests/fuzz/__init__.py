"""Any bytes, in any chunks, cut anywhere, into every decoder: a minute in pytest, longer by python -m tests.fuzz."""
