import pipeline
import pytest

ROWS = [{"Station": "Tainan", "PM2.5": 12.0}, {"Station": "Taipei", "PM2.5": 48.5}, {"Station": "Yilan", "PM2.5": 36.0}]
CLIENTS = [pipeline.with_kafka_python, pipeline.with_confluent_kafka, pipeline.with_aiokafka]


@pytest.mark.parametrize("run", CLIENTS)
def test_high_values_give_alarms(run, kafka_cluster, kafka_topic, kafka_new_topic, kafka_produce, kafka_consume):
    target = kafka_new_topic()
    kafka_produce(kafka_topic, ROWS)
    run(kafka_cluster.bootstrap_servers, kafka_topic, target, len(ROWS))
    assert [record.json()["station"] for record in kafka_consume(target, 2)] == ["Taipei", "Yilan"]


@pytest.mark.kafka_topic(partitions=3)
def test_a_dead_broker_loses_no_alarm(kafka_cluster, kafka_topic, kafka_new_topic, kafka_produce, kafka_consume):
    target = kafka_new_topic()
    kafka_produce(kafka_topic, ROWS)
    kafka_cluster.kill(kafka_cluster.leader(target))
    pipeline.with_confluent_kafka(kafka_cluster.bootstrap_servers, kafka_topic, target, len(ROWS))
    assert sorted(record.json()["station"] for record in kafka_consume(target, 2)) == ["Taipei", "Yilan"]
