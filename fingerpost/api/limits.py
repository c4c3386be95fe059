"""Numbers and names that both halves must agree on."""

# The program size up to which a regular expression is accepted: by the checks, and by every Envoy that we bootstrap
#
LARGEST_REGEX = 32768

# A cluster's name becomes a DNS name in certificates (relay.md §4.1).
CLUSTER_NAME = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
CLUSTER_NAME_RULE = "1 to 63 lower-case letters, digits and -, beginning with a letter"
