# Two commands matter: `make run` and `make test`. Both set up what is missing.

TARGET := $(or $(CARGO_TARGET_DIR),target)
WEIR := $(TARGET)/debug/weir

.PHONY: run test check plugins verifier-wasm bench test-peers storms crowd outages takeover mutations queries

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
	@tests/peers/plugins/run $(if $(ARGS),40)
	@tests/peers/patterns/run $(if $(ARGS),200)
	@tests/peers/service/run $(if $(ARGS),10000)

# Tests that need other people's servers or take long.
test-peers: test
	@tests/setup peers
	@WEIR_TEST_AWS=ministack tests/with-postgres cargo nextest run --workspace --all-features -E 'binary(sinks) + binary(values)'
	@WEIR_KILLS=60 tests/with-postgres cargo nextest run --workspace --all-features -E 'binary(kills)'

# Storms of a simulated source, so many of each kind (STORMS=1000). A seed that fails prints itself; WEIR_STORM_SEED=... runs
# it alone.
storms:
	@tests/setup tests
	@WEIR_STORMS=$(or $(STORMS),200) tests/with-postgres cargo nextest run --workspace --all-features -E 'binary(storms)'

# A thousand shards on one worker, or CROWD=... of them: memory, processor time and calls, on an optimised build.
crowd:
	@tests/setup tests
	@cargo build --workspace --all-features --profile bench --bin weir
	@WEIR_CROWD=$(or $(CROWD),1000) tests/with-postgres cargo nextest run --workspace --all-features --cargo-profile bench --test crowd --no-capture

# Storms that three processes go through while they are killed, frozen and cut off from Postgres, so many (OUTAGES=20).
outages:
	@tests/setup tests
	@cargo build --workspace --all-features --bin weir
	@WEIR_OUTAGES=$(or $(OUTAGES),10) tests/with-postgres cargo nextest run --workspace --all-features --test outages --no-capture

# How long it takes until others record what a killed process read, so many times (TAKE_OVERS=20).
takeover:
	@tests/setup tests
	@cargo build --workspace --all-features --bin weir
	@WEIR_TAKE_OVERS=$(or $(TAKE_OVERS),5) tests/with-postgres cargo nextest run --workspace --all-features --test workers --no-capture what_a_killed_worker

# Small faults in the intake, one at a time, and that the tests see each: tests/mutations/table.toml. Takes long. Those of a few
# lines of streams.md: make mutations LINES="6 11"; the second one of line 13: LINES=13.2
mutations:
	@tests/setup tests
	@tests/with-postgres tests/mutations/run $(LINES)

# What the compile-time check of SQL knows about the schema; after a change of a query or a migration.
queries:
	@tests/with-postgres host/ledger/prepare
