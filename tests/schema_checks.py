"""Whether a file is what a published schema says, as ``check-jsonschema`` finds it."""

from pathlib import Path


def check_schema(name: str, path: Path) -> None:
    """Check a file by a schema that comes with the program, in this process: a start of it takes seconds."""
    from check_jsonschema import main
    from click.testing import CliRunner

    done = CliRunner().invoke(main, ["--builtin-schema", name, str(path)])
    assert done.exit_code == 0, done.output
