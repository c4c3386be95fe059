"""Numbers that both halves must agree on."""

# The program size up to which a regular expression is accepted: by the checks, and by every Envoy that we bootstrap
#
LARGEST_REGEX = 32768
