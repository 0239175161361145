"""How the program ends, for scripts that call it."""

import signal
from typing import Final

OK: Final = 0
"""Also when it was stopped in order: by one signal, a closed window, or an output that nobody reads."""
FAILED: Final = 1
USER_ERROR: Final = 2
"""The user has to change something; one readable line says what."""
OUTPUT_LOST: Final = 3
"""All frames are accounted for, but an output that was asked for could not be written: a full disk."""
INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM
