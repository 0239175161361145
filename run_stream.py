"""Entry point of KVQ Stream: ``python run_stream.py --help`` lists its commands."""

import signal
import sys
from types import FrameType

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Runs the command line; a user error becomes one readable line and exit code 2."""
    # Spawned workers import this module again: what only the command line needs is loaded here.
    from pipeline.base.errors import UserError
    from pipeline.base.redact import redact
    from workers.commands.app import app

    terminated = False

    def terminate(number: int, frame: FrameType | None) -> None:
        """Exits as Ctrl-C does, so that open work is cleaned up; a second SIGTERM kills."""
        nonlocal terminated
        terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.exit(EXIT_TERMINATED)

    signal.signal(signal.SIGTERM, terminate)  # workers and the supervisor install their own
    try:
        app()
    except Exception as error:
        if terminated:  # libraries turn the exit into errors of their own
            sys.exit(EXIT_TERMINATED)
        if not isinstance(error, UserError):
            raise
        print(f"error: {redact(str(error))}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
