"""Images, depth, camera_info, masks on their way in: subscribed to, put together by stamps, let through at a rate."""
