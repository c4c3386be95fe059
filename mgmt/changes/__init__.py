"""What has become of changes: the way of each object's last one, the traces they leave, and what else happened."""
