"""When no image comes, the node says why and what to do."""

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image


def test_silence_is_explained_with_topic_publishers_and_remedy(start_node, ovsr, client):
    start_node(image_timeout_s=0.5)
    ovsr.wait_until_active()
    client.wait(lambda: ovsr.status_message("image input").startswith("no image"), "a warning that no image comes")
    status = ovsr.status("image input")
    assert status.level == b"\x01"
    assert "/image has 0 publishers" in status.message
    assert "-r image:=" in status.message
    client.publisher("/image", Image, qos_profile_sensor_data, subscribed=False)
    client.wait(lambda: "test_client" in ovsr.status_message("image input"), "the publisher's name in the warning")
    assert "best effort" in ovsr.status_message("image input")


def test_topics_of_the_right_type_are_suggested(start_node, ovsr, client):
    client.publisher("/camera/image_raw", Image, qos_profile_sensor_data, subscribed=False)
    start_node(image_timeout_s=0.5)
    client.wait(
        lambda: "/camera/image_raw" in ovsr.status_message("image input"),
        "a suggestion of the camera's topic",
    )
