"""The ROS 2 nodes. Only this folder imports ROS; each module holds one subject."""
