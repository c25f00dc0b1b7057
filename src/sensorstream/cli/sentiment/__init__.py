"""``sentiment``: score texts, measure scorers, and see scored streams. A file a command."""

import typer

sentiment = typer.Typer(
    name="sentiment", help="Score texts, streams of them too, and measure scorers.", no_args_is_help=True
)
