"""The wire upstream: topics, envelope, lanes, one link for each platform's broker, and the platform's end of it.

Everything is reached through `ports.House`; rows, marks and alarms stay where they are, in the store.
"""
