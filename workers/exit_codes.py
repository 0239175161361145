"""Exit codes of the program, and what each one means."""

import signal
from typing import Final

OK: Final = 0
FAILED: Final = 1
USER_ERROR: Final = 2
OUTPUT_LOST: Final = 3
INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM

MEANINGS: Final = {
    OK: "Finished, or stopped normally by one signal, a closed window or a closed standard output.",
    FAILED: "A worker or source failed permanently, frames are unaccounted for, or there is a bug.",
    USER_ERROR: "Bad input. One line on standard error says what is wrong and what to change.",
    OUTPUT_LOST: "A requested output could not be written, for example because the disk is full.",
    INTERRUPTED: "Interrupted by Ctrl-C (the pipeline: by a second Ctrl-C).",
    TERMINATED: "A command other than the pipeline and its workers was stopped by SIGTERM.",
}
"""One sentence for each code, shown in the help and the documentation."""
