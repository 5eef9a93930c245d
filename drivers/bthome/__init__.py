"""BTHome v2 adverts: SOS and service buttons (Shelly BLU family), doors, motion, presence, climate. None bonds."""
