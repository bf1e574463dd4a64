# Everything that is done to this project, as targets; `make help` lists them.
#
# Needs Rust (rustup), Node 20 or later with npm, and make. Everything else comes from crates.io and npm: npm packages
# into node_modules/, two Rust tools into the user's cache folder, and nothing into the system.

CARGO ?= cargo
NPM ?= npm
PORT ?= 8787
STATE ?= .state

# npm's `node` package carries the Node that wrangler and miniflare need, whatever the system has.
NODE := node_modules/.bin/node
BINARY := build/tidegate
GLUE := build/wasm/tidegate.js
CONFIG_MODULE := build/config.mjs
# The rules of tests/it/conformance, for their replay in workerd.
RULES := build/rules.jsonl

TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate
# The command line tool has to equal the crate to the digit.
BINDGEN_VERSION := $(shell sed -n 's/^wasm-bindgen = "=\([0-9.]*\)".*/\1/p' Cargo.toml)
BINDGEN := $(TOOLS)/wasm-bindgen-$(BINDGEN_VERSION)/bin
WASM_PACK := $(TOOLS)/wasm-pack-0.15.1/bin
# Where rustup does not install by itself what rust-toolchain.toml names, it is asked to.
WASM_STD := $(or $(shell rustc --print sysroot 2>/dev/null),rust)/lib/rustlib/wasm32-unknown-unknown/lib

SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml $(shell find src -name '*.rs')
# What the wasm may take, gzipped: a build that goes above it fails. The goal is 155000; every step towards it lowers this.
WASM_BYTES_MAX := 345000
WASM_FEATURES := --enable-mutable-globals --enable-sign-ext --enable-nontrapping-float-to-int --enable-bulk-memory \
	--enable-multivalue --enable-reference-types --enable-exception-handling

.DELETE_ON_ERROR:
.PHONY: help dev serve build test test-native test-wasm test-e2e test-long bench check clean

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

dev: $(GLUE) $(BINARY) node_modules/.stamp ## The gate at 8787 before two demo origins; follows changes of tidegate.toml and src
	@PORT=$(PORT) MAKE="$(MAKE)" exec $(NODE) tools/dev.mjs

serve: $(GLUE) $(BINARY) node_modules/.stamp ## The gate before your own origin: make serve CONFIG=mine.toml PORT=8787 STATE=.state
	@exec $(NODE) tools/serve.mjs $(or $(CONFIG),tidegate.toml) $(PORT) $(STATE)

build: $(GLUE) $(CONFIG_MODULE) node_modules/.stamp ## What a deploy needs: the configuration checked, the wasm compiled

test: ## Every test: native, wasm, end to end
	@sh tools/test.sh test-native test-wasm test-e2e

test-native: ## The pure core, on a virtual clock
	@echo "test-native: cargo test"
	@$(CARGO) test --locked

test-wasm: $(BINDGEN)/wasm-bindgen $(WASM_PACK)/wasm-pack node_modules/.stamp | $(WASM_STD) ## The core compiled to wasm32 gives the same answers
	@echo "test-wasm: wasm-pack test --node"
	@PATH="$(CURDIR)/node_modules/.bin:$(BINDGEN):$$PATH" $(WASM_PACK)/wasm-pack test --node --mode no-install . \
		--locked --no-default-features --test wasm

test-e2e: $(GLUE) $(BINARY) node_modules/.stamp $(if $(TESTS),$(if $(findstring conformance,$(TESTS)),$(RULES)),$(RULES)) ## The built worker in real workerd, with real origins and a real browser
	@echo "test-e2e: node --test tests/e2e"
	@$(NODE) tools/e2e.mjs $(TESTS)

test-long: ## Every test, with many more seeds and longer runs, for which the core is optimised
	@TIDEGATE_LONG=1 CARGO_PROFILE_TEST_OPT_LEVEL=2 sh tools/test.sh test-native test-wasm test-e2e

bench: $(GLUE) $(BINARY) node_modules/.stamp ## CPU per request and size, side by side with plain workers
	@$(NODE) tests/bench/bench.mjs

check: ## Formatting and lints, native and wasm
	@echo "check: rustfmt, clippy"
	@$(CARGO) fmt --check
	@$(CARGO) clippy --locked --all-targets -- -D warnings
	@$(CARGO) clippy --locked --lib --target wasm32-unknown-unknown --no-default-features -- -D warnings
	@$(CARGO) check --locked --lib --profile test --target wasm32-unknown-unknown --no-default-features

clean: ## Remove what was built here
	rm -rf build target node_modules .wrangler .state

# The native command, in the profile that the tests share. cargo names its own target folder.
$(BINARY): $(SOURCES)
	@echo "build: the native command -> $@"
	@mkdir -p build
	@$(CARGO) build --locked --bin tidegate
	@cp "$$($(CARGO) metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/tidegate" $@.$$$$ && \
		mv -f $@.$$$$ $@

$(RULES): $(SOURCES) $(wildcard tests/it/conformance/*.rs examples/plain-cache/*)
	@echo "build: the rules of tests/it/conformance -> $@"
	@mkdir -p build && rm -f $@.new
	@TIDEGATE_RULES=$(CURDIR)/$@.new $(CARGO) test --locked --quiet --test it conformance:: > /dev/null
	@mv $@.new $@

$(CONFIG_MODULE): tidegate.toml $(BINARY)
	@echo "build: tidegate.toml -> $@"
	@$(BINARY) build tidegate.toml -o $@

# Each `make` builds in a folder of its own, so that two at once do not meet.
# worker-build is left out on purpose: it downloads, and its entry module cannot be changed.
# `--crate-type cdylib` keeps LTO, which the rlib of Cargo.toml would switch off.
$(GLUE): $(SOURCES) $(BINDGEN)/wasm-bindgen node_modules/.stamp | $(WASM_STD)
	@echo "build: src -> build/wasm (cargo, wasm-bindgen, wasm-opt)"
	@$(CARGO) rustc --locked --lib --release --target wasm32-unknown-unknown --no-default-features --crate-type cdylib
	@set -e; new=build/wasm.$$$$; trap 'rm -rf $$new' EXIT; mkdir -p build/wasm; \
	$(BINDGEN)/wasm-bindgen --target module --no-typescript --experimental-reset-state-function \
		--force-enable-abort-handler --out-dir $$new --out-name tidegate \
		"$$($(CARGO) metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/wasm32-unknown-unknown/release/tidegate.wasm"; \
	node_modules/.bin/wasm-opt -Oz --strip-debug --strip-producers $(WASM_FEATURES) \
		$$new/tidegate_bg.wasm -o $$new/tidegate_bg.wasm; \
	sed 's/^import source /import /' $$new/tidegate.js > $$new/glue; \
	mv -f $$new/tidegate_bg.wasm build/wasm/; mv -f $$new/glue $@
	@gzip -9 -c build/wasm/tidegate_bg.wasm | wc -c | { read bytes; echo "build: wasm $$bytes bytes gzipped, at most $(WASM_BYTES_MAX)"; \
		test $$bytes -le $(WASM_BYTES_MAX); }

# `npm ci` refuses a lock without the optional packages of other systems; this leaves package-lock.json as it is.
node_modules/.stamp: package.json package-lock.json
	@echo "build: npm packages -> node_modules"
	@$(NPM) install --no-save --no-audit --no-fund --loglevel=error
	@$(NODE) --version > $@

$(WASM_STD):
	@echo "build: the toolchain of rust-toolchain.toml, with wasm32-unknown-unknown (once)"
	@rustup target add wasm32-unknown-unknown || rustup toolchain install

# Without --locked: its lock names a crate version that some registries lack.
$(BINDGEN)/wasm-bindgen:
	@echo "build: wasm-bindgen $(BINDGEN_VERSION) -> $(TOOLS) (once, about two minutes)"
	@$(CARGO) install wasm-bindgen-cli --version $(BINDGEN_VERSION) --root $(TOOLS)/wasm-bindgen-$(BINDGEN_VERSION)

$(WASM_PACK)/wasm-pack:
	@echo "build: wasm-pack 0.15.1 -> $(TOOLS) (once, about two minutes)"
	@$(CARGO) install wasm-pack --version 0.15.1 --root $(TOOLS)/wasm-pack-0.15.1
