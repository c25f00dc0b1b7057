"""The examples at the end of each command's help, as data: what each does, and the line to type."""

from typing import Final, NamedTuple


class Example(NamedTuple):
    """A line to copy; ``line`` goes on after the program's name and may have several lines, as in a shell."""

    does: str
    line: str


EXAMPLES: Final[dict[str, tuple[Example, ...]]] = {
    "": (
        Example("the whole lab, with a verdict at the end", "demo"),
        Example("a Kafka of your own, topics, and three files published", "cluster up"),
        Example("", "topics create"),
        Example("", "produce --delay 0"),
    ),
    "demo": (
        Example("sensors, in about half a minute", "demo"),
        Example("posts, scored; keep the results", "demo --sentiment --to results"),
    ),
    "samples": (Example("a day of sensor data to play with", "samples write --days 1 --dir data"),),
    "samples write": (Example("one day: 1,440 rows in each of three files", "samples write --days 1 --dir data"),),
    "samples posts": (Example("319 posts, ready for 'sentiment'", "samples posts --dir data"),),
    "inspect": (
        Example("how is this file written?", "inspect data/AIR2308.csv"),
        Example("for a script", "inspect data/*.csv --output json"),
    ),
    "config": (Example("which settings are in force, and why", "config show"),),
    "config show": (Example("the settings of a profile", "config show --profile lab"),),
    "config init": (
        Example("a file with the topic that feeds from this one", "config init --from data/AIR2308.csv"),
        Example("somewhere else", "config init lab/sensorstream.toml"),
    ),
    "config path": (Example("which file is it?", "config path"),),
    "doctor": (
        Example("why does it not work?", "doctor"),
        Example("why can't this cluster be reached?", "doctor -b kafka.example.org:9092"),
        Example("a cluster of this machine", "doctor -b cluster:default"),
    ),
    "cluster": (
        Example("start three brokers, look at them, and stop them", "cluster up"),
        Example("", "cluster status"),
        Example("", "cluster down"),
    ),
    "cluster up": (
        Example("three brokers on the default ports", "cluster up"),
        Example("a single broker, beside the first cluster", "cluster up --name test --brokers 1 --ports auto"),
        Example("with certificates, passwords and rights", "cluster up --name safe --secure tls+scram --acl"),
    ),
    "cluster status": (Example("is it all there? exit code 0 if so", "cluster status"),),
    "cluster down": (
        Example("stop it and keep its data", "cluster down"),
        Example("forget a cluster", "cluster down --name test --delete-data"),
    ),
    "cluster stop-broker": (
        Example("as for maintenance", "cluster stop-broker 2"),
        Example("as in a crash", "cluster stop-broker 2 --kill"),
    ),
    "cluster start-broker": (Example("bring it back", "cluster start-broker 2"),),
    "cluster logs": (
        Example("follow all brokers", "cluster logs --follow"),
        Example("the end of one broker's log", "cluster logs 2 --lines 50"),
    ),
    "cluster list": (Example("all clusters of this machine", "cluster list"),),
    "cluster env": (
        Example("print them; eval them in your shell to use them", "cluster env test"),
        Example("for tools that read .env files", "cluster env test --shell dotenv"),
    ),
    "cluster add-broker": (Example("a fourth broker, then its share of the data", "cluster add-broker"),),
    "cluster remove-broker": (Example("take broker 4 out again", "cluster remove-broker 4"),),
    "cluster chaos": (
        Example("kill the leader of AIR-0 every 20 seconds", "cluster chaos --kill leader:AIR-0 --every 20s --for 2m"),
        Example("restart the brokers one by one", "cluster chaos --rolling"),
    ),
    "topics": (
        Example("the lab's topics: AIR, EARTH, WATER", "topics create"),
        Example("", "topics describe AIR"),
    ),
    "topics create": (
        Example("the lab's topics: AIR, EARTH, WATER", "topics create"),
        Example("one that keeps records for a day", "topics create POND --partitions 6 --set retention.ms=86400000"),
    ),
    "topics list": (Example("on another cluster", "topics list -b kafka.example.org:9092"),),
    "topics describe": (Example("where are the partitions of AIR?", "topics describe AIR"),),
    "topics delete": (Example("in a script, without a question", "topics delete POND --yes"),),
    "topics alter": (
        Example("more partitions", "topics alter POND --partitions 12"),
        Example("keep records for an hour", "topics alter POND --set retention.ms=3600000"),
    ),
    "topics elect": (Example("after a broker has returned", "topics elect"),),
    "topics reassign": (
        Example("what would move?", "topics reassign --dry-run"),
        Example("give a new broker its share", "topics reassign --brokers 1,2,3,4"),
    ),
    "brokers": (Example("for a script", "brokers --output json"),),
    "produce": (
        Example("the built-in samples, as fast as possible", "produce --delay 0"),
        Example(
            "a recording at 60 times its pace",
            "produce --source POND=data/WATER2308.csv \\\n"
            '    --time-column Time --time-format "%d/%m/%Y %H:%M:%S" --speed 60',
        ),
        Example("a log that grows, each row exactly once", "produce --source LOG=log.csv --follow --exactly-once"),
    ),
    "consume": (
        Example("two partitions into two files, up to their end", "consume -t AIR -p 0 -p 1 --to captured --exit"),
        Example("the last three records to the screen", "consume -t AIR -p 0 -o -3 -e --to - -q"),
        Example("share the partitions with others", "consume -t AIR -g archive --to captured"),
    ),
    "run": (Example("the samples; ends when all rows are captured", "run --delay 0 --to captured --exit"),),
    "verify": (
        Example("was each row captured exactly once?", "verify captured"),
        Example("against a file of your own", "verify --source POND=data/WATER2308.csv captured"),
    ),
    "coverage": (Example("what two members hold together", "coverage member-1 member-2"),),
    "jobs": (Example("how far is each exactly-once replay?", "jobs list"),),
    "jobs list": (Example("for a script", "jobs list --output json"),),
    "jobs show": (Example("by its name, or the beginning of it", "jobs show nightly"),),
    "jobs forget": (Example("so that the rows may be published again", "jobs forget nightly --yes"),),
    "rejects": (
        Example("what was rejected, and why", "rejects list"),
        Example("send what is mended", "rejects retry AIR.rejected.jsonl"),
    ),
    "rejects list": (Example("in the current folder", "rejects list"),),
    "rejects show": (Example("the first five entries in full", "rejects show AIR.rejected.jsonl -n 5 --whole"),),
    "rejects save": (Example("into POSTS_SCORED_DEAD.rejected.jsonl", "rejects save POSTS_SCORED_DEAD"),),
    "rejects retry": (
        Example("look first", "rejects retry AIR.rejected.jsonl --dry-run"),
        Example("then send, without a question", "rejects retry AIR.rejected.jsonl --yes"),
    ),
    "stream": (
        Example(
            "two columns of AIR into a new topic",
            "stream --from AIR --to AIR_SMALL --create --exit \\\n"
            "    --transform select --set columns=Time,Temperature",
        ),
    ),
    "aggregate": (
        Example(
            "temperatures by station in windows of six hours",
            "aggregate -t POND --window 6h --by Station --mean Temperature -e",
        ),
        Example("how scored posts feel, minute by minute", "aggregate -t POSTS_SCORED --sentiment"),
    ),
    "sentiment": (
        Example("why has a text its score?", 'sentiment score "Not bad at all!" --explain'),
        Example("score all posts of a topic", "sentiment stream --exit"),
    ),
    "sentiment score": (
        Example("why has a text its score?", 'sentiment score "Not bad at all!" --explain'),
        Example("a file, a text per line", "sentiment score --output json < texts.txt"),
    ),
    "sentiment evaluate": (
        Example("how good is VADER on these texts?", "sentiment evaluate labelled.csv"),
        Example(
            "fail a build if a model gets worse",
            "sentiment evaluate labelled.csv --scorer my.sensormodel \\\n    --min-macro-f1 0.7",
        ),
    ),
    "sentiment train": (Example("a model of your own", "sentiment train labelled.csv --to my.sensormodel"),),
    "sentiment stream": (
        Example("POSTS into POSTS_SCORED, up to the end", "sentiment stream --exit"),
        Example("other topics; the new one is created", "sentiment stream --from NEWS --to NEWS_SCORED --create -e"),
    ),
    "sentiment watch": (
        Example("live, with the trend by minute", "sentiment watch --bucket 1m"),
        Example("all negative posts so far", "sentiment watch --label negative --exit"),
    ),
    "sentiment app": (Example("a window with a text to begin with", 'sentiment app "Not bad at all!" --no-feed'),),
    "monitor": (
        Example("the live screen", "monitor"),
        Example("the same in a browser", "monitor --web"),
        Example("one look, with rates", "monitor --once --for 10s"),
    ),
    "monitor latency": (Example("a minute of 50 records a second", "monitor latency --rate 50 --for 1m"),),
    "lag": (
        Example("now", "lag"),
        Example("fail a check when somebody is behind", "lag --group archive --fail-if 'lag > 1000'"),
    ),
    "groups": (Example("who is there?", "groups list"),),
    "groups list": (Example("for a script", "groups list --output json"),),
    "groups describe": (Example("the lab's group", "groups describe sensor_data_group"),),
    "groups reset": (
        Example("show the plan", "groups reset archive --to beginning"),
        Example("go back an hour", "groups reset archive --to @-1h --yes"),
    ),
    "groups delete": (Example("in a script, without a question", "groups delete archive --yes"),),
    "wait": (
        Example("until all is captured, for a minute at most", "wait 'lag == 0' --timeout 60"),
        Example("until a cluster is up", "wait 'brokers >= 3'"),
    ),
    "metrics": (
        Example("for Prometheus to scrape, on port 9308", "metrics"),
        Example("once, to a file", "metrics --once > sensorstream.prom"),
    ),
    "bench": (Example("a quick look", "bench --rows 10000 --seconds 5"),),
    "plot": (
        Example("in the terminal", "plot data/AIR2308.csv --columns Temperature"),
        Example("a picture, with a curve for each station", "plot data/AIR2308.csv --by Station --out air.svg"),
    ),
    "query": (
        Example("which tables are there?", "query captured"),
        Example("ask one", "query 'SELECT count(*) FROM AIR' captured"),
    ),
}
"""By the command's path, which is empty for the program itself."""


def epilog(path: str) -> str | None:
    """The examples of a command as its help ends with them; None where there are none."""
    shown = EXAMPLES.get(path)
    if not shown:
        return None
    lines = ["Examples:"]
    for example in shown:
        lines += [f"  # {example.does}"] if example.does else []
        lines += [f"  {line}" for line in f"sensorstream {example.line}".splitlines()]
    return "\n".join(lines)
