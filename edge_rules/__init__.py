"""Rules and alarms: pure logic over facts and stamps. No I/O, no clock, no asyncio in here."""
