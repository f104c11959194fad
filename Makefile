# What a newcomer types. The build itself is Meson's: `meson setup build && ninja -C build` does too.
#
#	make		build into build/
#	make run	install what is missing, build, and show it: real programs in a sandbox
#	make test	the whole suite from nothing: build, unit, end to end, sanitizers, clang, fuzz
#	make install	PREFIX=/usr/local, DESTDIR=
#	make bench	the measurements of bench/
#	make clean	remove what was built
#
# MESON_ARGS goes to `meson setup` of a new build directory.

PREFIX ?= /usr/local
BUILD ?= build
MESON_ARGS ?=

.PHONY: all run test install bench clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@tools/deps --check build
	@meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_ARGS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

run:
	@tools/deps build run
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)/hutch

test:
	@tools/deps build run test
	@python3 tests/run.py --everything

install: all
	@$(if $(filter file,$(origin PREFIX)),,meson configure $(BUILD) -Dprefix=$(PREFIX))
	@meson install -C $(BUILD) --quiet

bench:
	@tools/deps build run bench
	@$(MAKE) --no-print-directory all
	@set -e; for b in bench/* bench/python/*; do \
		if [ -f "$$b" ] && [ -x "$$b" ]; then echo "== $$b"; HUTCH_BIN=$(BUILD)/hutch "$$b"; fi; done

clean:
	rm -rf $(BUILD) build-test
