"""The console without a browser: what it subscribes to, what a slow or an impolite one gets, how it starts and ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("nicegui", reason='needs the extra: pip install "ovsr_ros[console]"')

from std_msgs.msg import Header
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ovsr_ros import srv
from ovsr_ros.console.frames import unpack
from ovsr_ros.console.link import OVERLAY, PLAIN
from ovsr_ros.nodes.conversions.images import to_jpeg_message
from ovsr_ros.nodes.qos import output_qos

TOPICS = [f"/ovsr/{name}" for name in ("overlay/compressed", "segments", "segment_map", "vocabulary", "statistics")]
CONSOLE = "ovsr_ros.nodes.console"


def open_pictures(site, **options):
    host = site.url.removeprefix("http://").rstrip("/")
    return connect(f"ws://{host}/pictures?node=%2Fovsr", origin=f"http://{host}", **options)


def next_picture(socket, kind=OVERLAY):
    socket.send(kind)
    return unpack(socket.recv(timeout=30.0))


def test_ten_browsers_share_one_subscription_and_without_one_there_is_none(site):
    with contextlib.ExitStack() as cleanup:
        sockets = [cleanup.enter_context(open_pictures(site)) for _ in range(10)]
        stamps = [int(next_picture(socket)[0]["stamp"]) for socket in sockets]
        assert all(stamps)
        # What this process knows of the network may come a moment after the pictures.
        site.ovsr.client.wait(lambda: site.count_subscribers("/ovsr/overlay/compressed") == 1, "one subscription")
    site.ovsr.client.wait(
        lambda: not any(site.count_subscribers(topic) for topic in TOPICS), "the page to subscribe to nothing"
    )


def test_a_slow_browser_gets_the_newest_picture_and_none_that_waited(site):
    overlays = site.ovsr.client.collect("/ovsr/overlay/compressed", compressed_image())
    try:
        with open_pictures(site) as slow:
            next_picture(slow)
            seen = len(overlays)
            site.ovsr.client.wait(lambda: len(overlays) > seen + 8, "pictures that the slow browser does not ask for")
            oldest_that_may_come = stamp_of(overlays[-3])  # the page may hear a picture a moment after this client
            header, (jpeg,) = next_picture(slow)
            assert int(header["stamp"]) >= oldest_that_may_come
            site.ovsr.client.wait(
                lambda: any(stamp_of(each) == int(header["stamp"]) for each in overlays), "the picture on the topic"
            )
            (sent,) = [each for each in overlays if stamp_of(each) == int(header["stamp"])]
            assert jpeg == bytes(sent.data), "the node's own bytes"
    finally:
        site.ovsr.client.stop_collecting("/ovsr/overlay/compressed")


def test_ten_pictures_a_second_for_three_browsers_cost_little(site):
    """640x480, in processor time of the page's process: a twentieth of a core where nothing else runs.

    What else a machine does has been seen to make three times as much of it.
    """
    client = site.ovsr.client
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    picture = to_jpeg_message(cv2.blur(noise, (5, 5)), 85, Header(frame_id="camera"))
    assert len(picture.data) > 60_000
    service = client.node.create_service(srv.SetVocabulary, "/fast/ovsr/set_vocabulary", lambda _, answer: answer)
    publisher = client.node.create_publisher(compressed_image(), "/fast/ovsr/overlay/compressed", output_qos())
    num_sent = itertools.count()

    def publish():
        picture.header.stamp.sec = next(num_sent)
        publisher.publish(picture)

    timer = client.node.create_timer(0.1, publish)
    try:
        host = site.url.removeprefix("http://").rstrip("/")
        with contextlib.ExitStack() as cleanup:
            sockets = []
            for _ in range(3):
                wait_for_node(site, "/fast/ovsr")
                address = f"ws://{host}/pictures?node=%2Ffast%2Fovsr"
                sockets.append(cleanup.enter_context(connect(address, origin=f"http://{host}")))
            for socket in sockets:
                next_picture(socket)
            before_s, first = cpu_seconds(site.console.popen.pid), 0
            for number in range(40):
                for socket in sockets:
                    socket.send(OVERLAY)
                stamps = [int(unpack(socket.recv(timeout=30.0))[0]["stamp"]) // 10**9 for socket in sockets]
                first = first if number else min(stamps)
            spent_s = cpu_seconds(site.console.popen.pid) - before_s
            seconds = (max(stamps) - first) * 0.1
    finally:
        client.node.destroy_timer(timer)
        client.node.destroy_publisher(publisher)
        client.node.destroy_service(service)
    print(f"{100 * spent_s / seconds:.1f} % of a core")
    assert spent_s / seconds < 0.30


def test_a_browser_that_draws_itself_gets_image_and_map_of_one_frame(site):
    with open_pictures(site) as socket:
        header, (jpeg, runs) = next_picture(socket, PLAIN)
    assert (header["height"], header["width"]) == (240, 320)
    assert jpeg.startswith(b"\xff\xd8")
    assert sum(int.from_bytes(runs[place : place + 2], "little") for place in range(2, len(runs), 4)) == 240 * 320
    assert {"wall", "floor"} <= {label for _, _, label, _ in header["classes"]}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
def test_another_sites_page_gets_no_picture(site, origin):
    host = site.url.removeprefix("http://").rstrip("/")
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://{host}/pictures?node=%2Fovsr", origin=origin)


def test_what_no_browser_sends_ends_its_own_connection_alone(site):
    with open_pictures(site) as socket:
        with contextlib.suppress(ConnectionClosed):  # the other end may close while it is on the way
            socket.send("x" * 2**21)
        with pytest.raises(ConnectionClosed):
            list(socket)
    with open_pictures(site) as socket:
        socket.send(b"\0")
        with contextlib.suppress(ConnectionClosed):
            socket.recv(timeout=0.5)
    with open_pictures(site) as socket:
        assert next_picture(socket)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "--port: expected 0 to 65535, got 70000"),
        (("--prot", "1"), "unrecognized arguments: --prot 1"),
        (("--key", "a.pem"), "--key: expected a --certificate with it"),
        (("--certificate", "/nosuch.pem"), "--certificate: there is no file /nosuch.pem"),
        (("--token-file", "/nosuch"), "/nosuch: the tokens cannot be read: No such file"),
    ],
)
def test_what_it_cannot_start_with_is_told(arguments, said):
    from ovsr_ros.errors import ConfigError
    from ovsr_ros.nodes.console.arguments import parse

    with pytest.raises(ConfigError) as refused:
        parse(arguments)
    assert said in str(refused.value)


def test_tokens_are_made_where_others_reach_the_page_and_nowhere_else():
    from ovsr_ros.nodes.console.arguments import parse

    assert parse([]).tokens is None
    for arguments in (["--host", "0.0.0.0"], ["--host", "robot"], ["--behind-proxy"]):
        options = parse(arguments)
        assert options.are_made
        assert options.tokens is not None
        assert options.tokens.view != options.tokens.operator


def test_a_taken_port_ends_it_with_a_message_and_a_signal_ends_it_well(site, run_module, tmp_path):
    port = site.url.rstrip("/").rpartition(":")[2]
    second = run_module(CONSOLE, "--port", port, "--folder", str(tmp_path))
    assert second.wait(180.0) == 2
    assert f"http://127.0.0.1:{port}/ cannot be served: it cannot listen there" in second.output
    third = run_module(CONSOLE, "--port", "0", "--folder", str(tmp_path), "--behind-proxy")
    third.wait_for_line("?token=", 180.0)
    third.popen.send_signal(signal.SIGINT)
    assert third.wait(60.0) == 0, third.output


def cpu_seconds(pid):
    """User and system time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for_node(site, name):
    """Until the page has found it: a page that is asked for looks around."""

    def is_found():
        with urllib.request.urlopen(site.url, timeout=30.0) as answer:
            return name in answer.read().decode()

    site.ovsr.client.wait(is_found, f"the page to find {name}")


@pytest.fixture
def certificate(tmp_path):
    """Of this machine's own address, signed by itself, with its key."""
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "a.key", "-out", tmp_path / "a.pem"]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    return tmp_path / "a.pem", tmp_path / "a.key"


def test_with_a_certificate_everything_is_encrypted(run_module, certificate, tmp_path):
    chain, key = certificate
    words = ["--port", "0", "--folder", str(tmp_path), "--certificate", str(chain), "--key", str(key)]
    url = run_module(CONSOLE, *words).wait_for_line("console: https://", 180.0).partition(" ")[2]
    trusting = ssl.create_default_context(cafile=str(chain))
    with urllib.request.urlopen(url, context=trusting, timeout=30.0) as answer:
        assert b"ovsr console" in answer.read()
    with pytest.raises(OSError, match=r"."):
        urllib.request.urlopen(url.replace("https", "http"), timeout=30.0)


def test_what_is_no_certificate_is_told(run_module, tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    console = run_module(CONSOLE, "--port", "0", "--folder", str(tmp_path), "--certificate", str(tmp_path / "a.pem"))
    assert console.wait(180.0) == 2
    assert "a.pem with the key in it cannot be used" in console.output


def compressed_image():
    from sensor_msgs.msg import CompressedImage

    return CompressedImage


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
