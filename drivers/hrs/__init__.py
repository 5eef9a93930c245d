"""Heart Rate Service (0x180D): any chest strap or band that speaks the SIG's own format."""
