"""Clusters of Ray on this machine, of several nodes, and an S3 server over loopback; nothing of them is left."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
STORE = 100 << 20


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A cluster of so many nodes, each of one core, beside a head that does no work."""
    from ray.cluster_utils import Cluster

    from deepix.cluster.engine import patiently

    head = {"num_cpus": 0, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    made = patiently(lambda: Cluster(initialize_head=True, head_node_args=head | {"object_store_memory": STORE}))
    try:
        made.workers = [patiently(lambda: made.add_node(num_cpus=1, object_store_memory=STORE)) for _ in range(nodes)]
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


@contextmanager
def bucket(monkeypatch: Any, name: str) -> Iterator[Any]:
    """An S3 server with a bucket; yields what reads and writes it. Processes that are started inside use it too."""
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for key, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(key, value)
        forget()
        files = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
        files.mkdir(name)
        yield files
    finally:
        server.stop()


def forget() -> None:
    """Let what reads S3 be made anew: it may know another server's address."""
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
