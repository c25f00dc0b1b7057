"""``sentiment``: score texts, measure scorers, and see scored streams. A file a command."""

import typer

from sensorstream.cli.sentiment import app, evaluate, score, stream, train, watch

sentiment = typer.Typer(
    name="sentiment", help="Score texts and streams of texts, and measure and train scorers.", no_args_is_help=True
)
score.add_to(sentiment)
evaluate.add_to(sentiment)
train.add_to(sentiment)
stream.add_to(sentiment)
watch.add_to(sentiment)
app.add_to(sentiment)
