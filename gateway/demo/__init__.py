"""The virtual ward: devices that speak their real protocols, a broker, a platform, and a story that checks itself."""
