"""What sounds: the channels of one alarm, and of all open alarms together. The pipeline carries it out.

`channels` is a pure function of an alarm's own state, so that what an alarm does can always be explained by what it is.
"""

from collections.abc import Iterable, Mapping

from gateway.core.model import Alarm, Condition, Priority, SignalState

PLATFORM, PAGE, LAMP, BUZZER, RELAY = "platform", "page", "lamp", "buzzer", "relay"
CHANNELS = (PLATFORM, PAGE, LAMP, BUZZER, RELAY)
PAUSABLE = frozenset({LAMP, BUZZER, RELAY})  # a pause is for the ears: page and platform go on showing
ISLAND_S = 90.0  # without any uplink for so long the box is an island (reference, ladder 3.4)

_AT_ONCE: Mapping[Priority, tuple[str, ...]] = {
    Priority.HIGH: (PLATFORM, PAGE, LAMP),
    Priority.MEDIUM: (PLATFORM, PAGE),
    Priority.LOW: (PLATFORM, PAGE),
}
_LOCAL: Mapping[Priority, tuple[str, ...]] = {
    Priority.HIGH: (BUZZER, RELAY),
    Priority.MEDIUM: (BUZZER,),
    Priority.LOW: (),
}
_RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}


def channels(alarm: Alarm) -> dict[str, SignalState]:
    """The state of each channel for one alarm, from its priority, condition, delivery and answers."""
    wanted = set(_AT_ONCE[alarm.priority])
    if alarm.local:
        wanted.update(_LOCAL[alarm.priority])
        if alarm.local in ("no_received", "island") and alarm.priority is Priority.MEDIUM:
            wanted.add(RELAY)
    if alarm.priority is Priority.HIGH and alarm.escalation:
        wanted.update((BUZZER, RELAY))
    state = _state(alarm)
    result = {}
    for channel in CHANNELS:
        if channel not in wanted:
            result[channel] = SignalState.OFF
        elif state is not SignalState.OFF and alarm.paused_until is not None and channel in PAUSABLE:
            result[channel] = SignalState.PAUSED
        else:
            result[channel] = state
    return result


def _state(alarm: Alarm) -> SignalState:
    if alarm.hidden_by or not alarm.open:
        return SignalState.OFF
    if alarm.acknowledgement is not None and not alarm.overdue:
        return SignalState.ACKNOWLEDGED
    return SignalState.ON if alarm.condition is Condition.ACTIVE else SignalState.LATCHED


def decide(alarms: Iterable[Alarm], uplink_silent_s: float = 0.0) -> dict[str, str]:
    """The pattern of every channel for all open alarms together.

    Patterns: "off"; "low", "medium", "high"; "high_2" once it has escalated; "answered" where all that would sound is
    acknowledged; "paused". The lamp shows "island" when nothing else is on and no uplink has been there for 90 s.
    """
    best = dict.fromkeys(CHANNELS, (0, "off"))
    for alarm in alarms:
        for channel, state in alarm.signal.items():
            if channel in best:
                best[channel] = max(best[channel], _pattern(alarm, state))
    result = {channel: name for channel, (_, name) in best.items()}
    if result[LAMP] == "off" and uplink_silent_s > ISLAND_S:
        result[LAMP] = "island"
    return result


def _pattern(alarm: Alarm, state: SignalState) -> tuple[int, str]:
    """(rank, name); the higher rank wins a channel."""
    match state:
        case SignalState.OFF:
            return 0, "off"
        case SignalState.PAUSED:
            return 1, "paused"
        case SignalState.ACKNOWLEDGED:
            return 2, "answered"
    rank = _RANK[alarm.priority]
    if rank == 2 and alarm.escalation:
        return 6, "high_2"
    return 3 + rank, alarm.priority.value
