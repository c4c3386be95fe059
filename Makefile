# All commands. `make demo` shows the whole road, `make test` proves it; both need nothing but Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo demo-stop demo-kube test test-cluster tools check fmt unit generate clean

$(STAMP): pyproject.toml constraints.txt proto/hatch_build.py $(wildcard proto/fingerpost/relay/v1/*.proto)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r constraints.txt
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

unit: $(STAMP)
	@$(BIN)/pytest tests --ignore=tests/kube

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

clean:
	rm -rf $(VENV) .state
AGENTS ?= 100
TABLES ?= 1000
EDITS ?= 200

# Figures are JSON lines on stdout, everything else goes to stderr.
.PHONY: bench-propagation bench-gateway
bench-propagation: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.propagation $(AGENTS) $(TABLES) $(EDITS)

# On a real API server, beside a real istiod; needs what `make test-cluster` needs.
.PHONY: bench-istio
bench-istio: $(CLUSTER_STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.istio 300 60

OBJECTS ?= 5000
IDLE ?= 600
.PHONY: bench-agent
bench-agent: $(CLUSTER_STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.agent $(OBJECTS) $(IDLE)

HOSTS ?= 1000
bench-gateway: $(STAMP)
	@GRPC_VERBOSITY=NONE $(BIN)/python -m bench.gateway $(HOSTS) 100
