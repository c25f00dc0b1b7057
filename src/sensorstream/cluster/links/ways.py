"""Station 5: the routes through a cluster's links (which port leads to which node), and where they are stored.

    <cluster>/links/ways.json     the ways, and the word that opens the control port; its owner's alone

A way has a front, the port that everybody is told (``cluster up`` prints it, brokers advertise it), and behind it the
port on which a node really listens. Where the file is, the cluster has links.
"""

import json
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sensorstream.cluster.secure.private_files import private_folder, write_private
from sensorstream.own_files import make_folder

FOLDER: Final = "links"
Kind: TypeAlias = Literal["broker", "controller", "zookeeper"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to node ``owner`` (0: ZooKeeper): who connects to the port ``front`` is led to the port ``behind``."""

    kind: Kind
    owner: int
    front: int
    behind: int


@dataclass(frozen=True, slots=True)
class Ways:
    """All ways of a cluster; ``word`` is what whoever slows and cuts must know."""

    ways: tuple[Way, ...]
    word: str

    def behind(self, kind: Kind, owner: int) -> int:
        """Where a node listens. There is such a way."""
        return next(way.behind for way in self.ways if (way.kind, way.owner) == (kind, owner))

    def lead_to(self, broker: int) -> bool:
        """Whether there is one to this broker."""
        return any((way.kind, way.owner) == ("broker", broker) for way in self.ways)

    @property
    def zookeeper_front(self) -> int | None:
        """The port by which brokers go to ZooKeeper; None where there is none."""
        return next((way.front for way in self.ways if way.kind == "zookeeper"), None)

    def to_zookeeper(self, port: int | None) -> "Ways":
        """The same, with ZooKeeper at this port."""
        led = tuple(
            replace(way, behind=port) if way.kind == "zookeeper" and port is not None else way for way in self.ways
        )
        return replace(self, ways=led)


def load_ways(cluster_folder: Path) -> Ways | None:
    """The ways of a cluster; None where it has no links."""
    try:
        content = json.loads((cluster_folder / FOLDER / "ways.json").read_text(encoding="utf-8"))
        return Ways(tuple(Way(**way) for way in content["ways"]), str(content["word"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_ways(cluster_folder: Path, ways: Ways) -> None:
    """Remember the ways. Raises LocalClusterError."""
    make_folder(cluster_folder)
    folder = private_folder(cluster_folder / FOLDER)
    write_private(folder / "ways.json", json.dumps(asdict(ways), indent=1) + "\n")


def plan_ways(
    before: Ways | None,
    ports: Mapping[int, int],
    controller_ports: Mapping[int, int],
    *,
    zookeeper: bool,
    running: Collection[int],
    is_free: Callable[[int], bool],
    free_ports: Callable[[int, Collection[int]], tuple[int, ...]],
) -> Ways:
    """Ways whose fronts are these ports, by node. A node that is ``running`` keeps the port it listens on; so does any
    other one while that port is free."""
    known = {(way.kind, way.owner): way for way in before.ways} if before is not None else {}
    fronts: dict[tuple[Kind, int], int] = {
        **{("broker", node): port for node, port in ports.items()},
        **{("controller", node): port for node, port in controller_ports.items()},
    }
    taken = set(fronts.values())
    if zookeeper:
        old = known.get(("zookeeper", 0))
        stays = old is not None and (running or is_free(old.front))
        fronts["zookeeper", 0] = old.front if old is not None and stays else free_ports(1, taken)[0]
        taken.add(fronts["zookeeper", 0])
    ways = []
    for (kind, owner), front in fronts.items():
        old = known.get((kind, owner))
        behind = old.behind if old is not None else 0
        if kind != "zookeeper" and owner not in running and (behind in {0, *taken} or not is_free(behind)):
            (behind,) = free_ports(1, taken)
        taken.add(behind)
        ways.append(Way(kind, owner, front, behind))
    return Ways(tuple(ways), before.word if before is not None else secrets.token_urlsafe(24))
