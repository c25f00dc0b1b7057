"""``python -m sensorstream`` is the same program as the console script."""

from sensorstream.cli.app import main

if __name__ == "__main__":
    main()
