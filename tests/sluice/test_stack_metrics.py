"""The supervisor tells which process is ready, and how often each was started again."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from sluice.child_process import Child
from sluice.output_log import OutputLog
from sluice.processes import Process
from sluice.stack_metrics import StackMetrics


async def _never(_pid: int) -> bool:
    return False


def test_processes_and_their_restarts(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    log = OutputLog(tmp_path, "kafka", print)
    child = Child(Process(name="kafka", command=[], probe=_never), tmp_path, log, lambda *_: None)
    metrics, about = StackMetrics(registry, tmp_path), {"process": "kafka"}
    metrics.show([child])
    assert registry.get_sample_value("sluice_process_ready", about) == 0
    child.state, child.restarts = "ready", 2
    for _ in range(2):
        metrics.show([child])
    assert registry.get_sample_value("sluice_process_ready", about) == 1
    assert registry.get_sample_value("sluice_process_restarts_total", about) == 2
    free = registry.get_sample_value("sluice_disk_free_bytes")
    size = registry.get_sample_value("sluice_disk_size_bytes")
    assert free is not None
    assert size is not None
    assert 0 < free < size
    log.close()
