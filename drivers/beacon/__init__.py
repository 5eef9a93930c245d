"""iBeacon and Eddystone: who is near, pendants that call by changing what they beacon, and a beacon's battery."""
