"""BTHome v2 adverts: SOS and service buttons (Shelly BLU family), room climate. Nothing connects, nothing is bonded."""
