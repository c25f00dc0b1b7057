"""``python -m sensorstream.cli.worker``: one of the processes of ``produce --processes``, started by it alone."""

import sys

from sensorstream.cli import client_log
from sensorstream.pipelines.replay.worker import work

if __name__ == "__main__":
    # What comes on stderr is shown by the owner, when it is asked to be verbose.
    client_log.start(verbose=True)
    sys.exit(work())
