# All commands. `make demo` shows the whole road, `make test` proves it; both need nothing but Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo demo-stop demo-kube test test-cluster tools check fmt unit generate clean

$(STAMP): pyproject.toml constraints.txt proto/hatch_build.py $(wildcard proto/fingerpost/relay/v1/*.proto)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r constraints.txt
# xds-protos brings its own older files of this package; whichever is written last is what is imported
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --force-reinstall -c constraints.txt opentelemetry-proto
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# Tells the whole story in under two minutes; `make demo KEEP=1` leaves everything up, `make demo-stop` ends that.
demo: $(STAMP)
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

demo-stop: $(STAMP)
	@$(BIN)/python -m demo --stop

fmt: $(STAMP)
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

check: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# What is checked in although it is made from something else; a test says when it is out of date.
generate: $(STAMP)
	@$(BIN)/python -m fingerpost.crd
	@$(BIN)/python -m charts.values_page
	@$(BIN)/python -m tests.unit.docs.settings_page

# What needs a machine for itself comes after what can share it.
SHARING := tests/unit tests/translate tests/conformance tests/fleet
unit: $(STAMP)
	@$(BIN)/pytest $(SHARING) -n 2 --dist worksteal; sharing=$$?; \
	$(BIN)/pytest tests --ignore=tests/kube $(SHARING:%=--ignore=%) && exit $$sharing

test: check unit

CLUSTER_STAMP := $(VENV)/.cluster-installed
$(CLUSTER_STAMP): $(STAMP) constraints-cluster.txt
	@$(BIN)/pip install -q --disable-pip-version-check -r constraints-cluster.txt
	@touch $@

# What the cluster tests need besides: a real API server and istiod, built once into a cache folder. Needs Go.
tools: $(CLUSTER_STAMP)
	@$(BIN)/python -m tests.kube.tools

# On real API servers. Without Go it says what was not run.
test-cluster: $(CLUSTER_STAMP)
	@$(BIN)/python -m tests.kube

# The story of `make demo` on three API servers, Istio in two of them; under three minutes. Without Go it says so.
demo-kube: $(CLUSTER_STAMP)
	@$(BIN)/python -m demo.kube

# Random edits and random faults on ten clusters; the seed of a run tells the same story again. The last line is JSON.
.PHONY: chaos
FAULTS ?= 200
SERVERS ?= 1
chaos: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m tests.chaos --faults $(FAULTS) --servers $(SERVERS) $(if $(SEED),--seed $(SEED))

# The same with real API servers for clusters; needs what `make test-cluster` needs.
.PHONY: chaos-kube
chaos-kube: $(CLUSTER_STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m tests.chaos --api-servers --clusters 3 --every 0.4 --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

# Whatever the decoders, the ends of the relay and the translator can be given, SECONDS for each of six targets. Guided by
# coverage where atheris installs; `make test` has a few seconds of it, always the same.
.PHONY: fuzz
SECONDS ?= 60
FUZZ_STAMP := $(VENV)/.fuzz-installed
$(FUZZ_STAMP): $(STAMP) constraints-fuzz.txt
	@$(BIN)/pip install -q --disable-pip-version-check -r constraints-fuzz.txt || echo "atheris does not install here"
	@touch $@

fuzz: $(FUZZ_STAMP)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

clean:
	rm -rf $(VENV) .state
AGENTS ?= 100
TABLES ?= 1000
EDITS ?= 200

# Figures are JSON lines on stdout, everything else goes to stderr.
.PHONY: bench-propagation bench-gateway
bench-propagation: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.propagation $(AGENTS) $(TABLES) $(EDITS) $(if $(BARE),bare)

# One of the agents stops reading: what the others notice of it.
.PHONY: bench-stalled
bench-stalled: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.stalled 20 $(TABLES) 100

# On a real API server, beside a real istiod; needs what `make test-cluster` needs.
.PHONY: bench-istio
bench-istio: $(CLUSTER_STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.istio 300 60

OBJECTS ?= 5000
IDLE ?= 600
.PHONY: bench-agent
bench-agent: $(CLUSTER_STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.agent $(OBJECTS) $(IDLE)

# A whole fleet comes back; a rebuild against an edit; what is held. No Envoy, agents reduced to their relay.
.PHONY: bench-reconnect bench-translate bench-memory
bench-reconnect: AGENTS = 250
bench-reconnect: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.reconnect $(AGENTS) $(TABLES)

bench-translate: $(STAMP)
	@$(BIN)/python -m bench.translate

bench-memory: TABLES = 10000
bench-memory: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.memory $(TABLES) $(AGENTS)

HOSTS ?= 1000
bench-gateway: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.gateway $(HOSTS) 100

# What a request costs more where the routes are scopes: `more_us`.
.PHONY: bench-requests
bench-requests: HOSTS = 1000
bench-requests: $(STAMP)
	@$(BIN)/python -m bench.requests $(HOSTS) 15

# As a shell asks: `make -s bench-completion` for 200 clusters.
.PHONY: bench-completion
bench-completion: $(STAMP)
	@$(BIN)/python -m bench.completion 200 30

# What a question such as `diff` costs a server with TABLES tables.
.PHONY: bench-answers
bench-answers: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.answers $(TABLES)
