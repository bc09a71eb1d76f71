# Two commands matter: `make run` and `make test`. Both set up what is missing.

TARGET := $(or $(CARGO_TARGET_DIR),target)
WEIR := $(TARGET)/debug/weir

.PHONY: run test check plugins verifier-wasm bench test-peers storms queries

# Weir on an embedded default: a private Postgres, a local DynamoDB, a small shop. Ctrl-C stops it.
# Options for `weir dev` go into ARGS: make run ARGS="--fresh --no-traffic"
run: plugins
	@tests/setup
	@cargo build --package weir-cli --features dev
	@$(WEIR) dev $(ARGS)

# Every test, with a Postgres of its own. The binary is built together with the tests, so that both share every library.
test: plugins
	@tests/setup tests
	@cargo build --workspace --all-features --bins --tests
	@tests/with-postgres cargo nextest run --workspace --all-features --no-fail-fast
	@cargo test --workspace --all-features --doc --quiet

# Format, lints and documentation, all warnings denied.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --document-private-items --quiet

# The plugins of this repository, as components.
plugins:
	@plugins/build

# The verifier of bundles for wasm32, which a browser can run.
verifier-wasm:
	@host/evidence/build-wasm

# Benchmarks; each prints its ratio to a floor or a peer measured in the same run. Quicker: make bench ARGS=--quick
bench: plugins
	@tests/setup
	@tests/with-postgres cargo bench --workspace --bench '*' $(if $(ARGS),-- $(ARGS))

# Tests that need other people's servers or take long.
test-peers: test
	@tests/setup tests
	@WEIR_KILLS=60 tests/with-postgres cargo nextest run --package weir-tests --all-features -E 'binary(kills) + binary(values)'

# Storms of a simulated source, so many of each kind (STORMS=1000). A seed that fails prints itself; WEIR_STORM_SEED=... runs
# it alone.
storms:
	@tests/setup tests
	@WEIR_STORMS=$(or $(STORMS),200) tests/with-postgres cargo nextest run --workspace --all-features -E 'binary(storms)'

# What the compile-time check of SQL knows about the schema; after a change of a query or a migration.
queries:
	@tests/with-postgres host/ledger/prepare
