"""Images, depth and camera_info on their way in: subscribed to, put together by their stamps, let through at a rate."""
