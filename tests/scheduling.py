"""Which process runs which files, when there are five: one of them does without a cluster.

Tests that use brokers mostly wait. Four processes of them, each with a cluster of its own, leave a tenth of two cores
idle; a fifth cluster costs more than it gains. So the last process runs what needs no broker, and the others begin with
what does.
"""

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

WITHOUT_BROKERS = ("tests/unit/", "tests/properties/")
PROCESSES = 5


class OneWithoutBrokers(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """File after file, in the order of the collection but for that."""

    def _has_no_cluster(self, node: WorkerController) -> bool:
        return bool(self.numnodes >= PROCESSES and node.gateway.id == f"gw{self.numnodes - 1}")

    def _assign_work_unit(self, node: WorkerController) -> None:
        mine = self._mine(node)
        if mine:
            self.workqueue.move_to_end(mine[0], last=False)
        super()._assign_work_unit(node)

    def _mine(self, node: WorkerController) -> list[str]:
        """The files that this process is to run before all others."""
        without = self._has_no_cluster(node)
        return [path for path in self.workqueue if path.startswith(WITHOUT_BROKERS) == without]

    def _reschedule(self, node: WorkerController) -> None:
        if self._has_no_cluster(node) and not self._mine(node):
            node.shutdown()
        else:
            super()._reschedule(node)
