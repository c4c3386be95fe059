"""Server and agents without any process: from folders of manifests to what would be relayed."""
