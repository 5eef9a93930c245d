"""The upstream room against a real mosquitto, a proxy that cuts, and the real store."""
