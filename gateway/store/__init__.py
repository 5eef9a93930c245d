"""What must survive a power cut: two SQLite databases behind one writer thread, and the marks of each upstream."""
