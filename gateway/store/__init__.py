"""What must survive a power cut: two SQLite databases behind one writer thread, and the marks of each upstream.

Here live the files and their schema (sqlite, schema/), the writer thread with its groups (writer, losses), the facts
(journal, alarms), what is read back (rows, queries, timeline) and who has got what (outbox, lanes). No rule, no wire
format and no configuration: a row knows neither who will read it nor how the box was set up when it was written.
"""
