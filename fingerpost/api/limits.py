"""Numbers and names that both halves must agree on."""

# The program size up to which a regular expression is accepted: by the checks, and by every Envoy that we bootstrap
#
LARGEST_REGEX = 32768

# A cluster's name becomes a DNS name in certificates (relay.md §4.1).
CLUSTER_NAME = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
CLUSTER_NAME_RULE = "1 to 63 lower-case letters, digits and -, beginning with a letter"

# What the API server refuses, and the checks of single objects with it (routing.md §18).
LARGEST_PORT = 65535
LONGEST_HOST = 255
LONGEST_NAME = 253
MOST_HOSTS = 1000
MOST_DISTINCT = 150  # entries of a list that must differ: comparing them costs the API server the square
MOST_LISTENERS = 300_000
LONGEST_APP_PROTOCOL = 10
MOST_ROUTES = 10_000  # of http, tcp and tls each
MOST_WORKLOAD_SELECTORS = 10_000
MOST_DESTINATIONS = 100
LONGEST_BODY = 1_048_576

# What a folder may hold, and the relay carries. An API server takes less by itself: 3 MiB a request, 1.5 MiB to etcd.
LARGEST_OBJECT = 8 << 20
LARGEST_FILE = 32 << 20
LARGEST_ANNOTATIONS = 256 << 10  # all of an object together, as at the API server


def mebibytes(size: int) -> str:
    return f"{size} bytes ({size >> 20} MiB)" if size >= 1 << 20 else f"{size} bytes ({size >> 10} KiB)"
