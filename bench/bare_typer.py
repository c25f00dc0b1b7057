"""A bare Typer program with three commands: what ``--help`` costs before a program does anything of its own."""

import typer

app = typer.Typer()


@app.command()
def one(times: int = 1) -> None:
    """Do one thing."""


@app.command()
def two(times: int = 1) -> None:
    """Do another thing."""


@app.command()
def three(times: int = 1) -> None:
    """Do a third thing."""


if __name__ == "__main__":
    app()
