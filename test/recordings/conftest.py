"""An object store on this machine's loopback, which a server of moto's is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import fsspec


@pytest.fixture(scope="module")
def s3() -> Iterator[fsspec.AbstractFileSystem]:
    """The store's file system, as whoever runs `ovsr` has it: by the environment's variables."""
    import fsspec  # here, as most files need neither
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()  # another module's are for a server that is gone
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        yield fsspec.filesystem("s3", use_listings_cache=False)
        server.stop()
    kind.clear_instance_cache()
