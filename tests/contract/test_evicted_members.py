"""A member that was removed from its group comes back without what it had, whoever has it by then."""

from typing import Any

import pytest

from contract_labs import KafkaLab, Member, group_name
from running import until
from sensorstream.clients.kafka_python.reader import KafkaPythonReader


@pytest.mark.broker
def test_kafka_python_claims_nothing_that_it_has_lost(broker: tuple[str, ...]) -> None:
    """The group's leader keeps what a member claims from all others: what nobody has would be read by nobody."""
    lab = KafkaLab(broker, "kafka-python")
    topic, group = lab.topic(2), group_name()
    member = Member(lab, group, topic, {})
    try:
        assert isinstance(member.reader, KafkaPythonReader)
        coordinator = member.reader._consumer._coordinator
        claims: list[Any] = []
        group_protocols = coordinator.group_protocols

        def noted() -> Any:
            protocols = group_protocols()
            claims.extend(metadata.owned_partitions for _, metadata in protocols)
            return protocols

        coordinator.group_protocols = noted

        def has_been_told(*what: str) -> bool:
            member.poll()
            return tuple(told for told, _ in member.told) == what

        until(lambda: has_been_told("assigned"), "it has its partitions")
        lab.evict(group)
        until(lambda: has_been_told("assigned", "lost", "assigned"), "it has them once more")
        assert claims
        assert not any(claims)
    finally:
        member.reader.close()
        lab.clean()
