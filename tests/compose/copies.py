"""Prints how many copies each partition has, and how many of them are in sync; piped into a node's container."""

from connectors.kafka import admin_client
from connectors.kafka_login import login
from schemas.settings import Settings, load
from schemas.topics import TOPICS

ours = {topic.name for topic in TOPICS}
for name, topic in admin_client(login(load(Settings), "admin")).list_topics(timeout=10).topics.items():
    if name in ours:
        for partition in topic.partitions.values():
            print(len(partition.replicas), len(partition.isrs))
