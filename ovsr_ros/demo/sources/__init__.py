"""What the demo camera shows: drawn rooms, photographs, image files, videos, webcams. Needs neither torch nor ROS."""
