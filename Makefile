# Every target is one line that also works by hand; the logic and its reasons are in scripts/.
.PHONY: run demo test test-long integration ci fmt lint bench soak doc ui ui-dev
.DEFAULT_GOAL := run

run:            # the dashboard, the hub and this machine's collector on http://localhost:8000
	@scripts/run.sh

demo:           # five minutes of a hub's life in both domains, told on http://localhost:8000; docs/DEMO.md
	@scripts/demo.sh

test:           # everything, from nothing: installs what it needs, builds, runs all tests
	@scripts/test.sh

test-long:      # the same Rust tests with many more random cases, and the ignored slow ones
	@scripts/with-servers.sh scripts/test-rust.sh long

integration:    # only the packages whose tests need a PostgreSQL and a Redis
	@scripts/with-servers.sh scripts/test-rust.sh integration

ci:             # what .ci/run does
	@scripts/ci.sh

fmt:
	@cargo fmt --all

lint: ui        # web embeds the built dashboard, so clippy needs it too
	@cargo clippy --workspace --all-targets --features "$$(scripts/integration-features.sh)" -- -D warnings

bench:          # the quick measurements: a table, and JSON in target/bench.json; the long ones are in benches/README.md
	@scripts/bench.sh

soak:           # a hub under 50,000 samples a second for 20 minutes, and what drifts; SOAK="--duration 3d --every 30s" for longer
	@scripts/soak.sh $(SOAK)

doc:
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

ui:
	@scripts/build-ui.sh

ui-dev:         # the dashboard with hot reload, before the hub of `make run`; UI_HUB=http://127.0.0.1:8000 names another
	@scripts/build-ui.sh --dependencies-only && npm --prefix web/ui run dev
