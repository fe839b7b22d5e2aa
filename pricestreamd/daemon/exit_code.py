"""How a run ended, as the number that systemd, supervisor and scripts read (`sysexits.h`)."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The unit does not restart on USAGE, REFUSED, LOCKED and CONFIG: trying again would not help."""

    OK = 0
    """Stopped cleanly; what is not yet delivered is safe."""
    USAGE = 64
    """The command line is wrong."""
    REFUSED = 69
    """Every feed was tried, none is live, and all were refused with a key that never worked."""
    INTERNAL = 70
    """A bug: a task died and could not be restarted. Or a feed failed too often, and `errors.action` is `exit`."""
    SYSTEM = 71
    """The system refused something at the start, such as the port."""
    LOCKED = 73
    """Another daemon holds the state."""
    UNDELIVERED = 75
    """Events were lost at the shutdown deadline; their number is in the log."""
    CONFIG = 78
    """The configuration cannot be used."""
