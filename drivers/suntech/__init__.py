"""SunTech Advantage blood-pressure modules: results are read; nothing here can start a cuff."""
