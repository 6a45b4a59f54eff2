# SPDX-License-Identifier: MIT
#
# make                 ./cgunicorn, built out of tree under build/
# make help            this list
# make run PORT=8000   set up, build, serve the sample application
# make sources         others' sources into third_party/, for the next two
# make sdist           dist/cgunicorn-VERSION.tar.gz
# make wheels          dist/*.whl for every Python found, old systems, and ARM
# make module          _cgunicorn.*.so, what `pip install .` puts into Python
# make test            set up, unit tests and black-box tests
# make unit, blackbox  the one or the other (UNITS=engine; tools/run_blackbox -k)
# make test-classes    the black-box tests once more, for gevent, eventlet, tornado, asgi
# make test-matrix     the tests for other Pythons, newer frameworks (PyPI once)
# make test-protocols  h2spec, testssl.sh, sslyze, tlsfuzzer (minutes; registries once)
# make test-races PYTHON=  a free-threaded one made for ThreadSanitizer: tools/test_races
# make test-apps       real programs and monitoring tools (PyPI once)
# make check           layers, circles, format, exported symbols
# make fuzz, coverage  the fuzzers; what the unit tests do not reach
# make bench           CPU time per request beside gunicorn
# make docs            settings.md, the manual pages and the completion anew
# make parity          every setting beside gunicorn 27.0.1 (minutes; PyPI once)
# make release         both, checksums and a bill of materials
# make site            the documents as a static site in build/site (PyPI once)
# make deb             dist/cgunicorn_VERSION_ARCH.deb for this Debian
# make install PREFIX=/usr/local DESTDIR=   (uninstall)
#
# PYTHON=python3.12    the interpreter to embed (default: the active virtual
#                      environment's, else /usr/bin/python3, else python3)
# make soak SOAK_SECONDS=600 SOAK="--seed 7 -- -k gthread"   random signals
# BENCH="-w hello,real -r 5"   what make bench measures; --help lists it
# CC=clang  SAN=address,undefined | thread  STATIC=0 | 1 (libpython)
# DEBUG=1              asserts who owns what (the baton, a connection, the GIL),
#                      as builds with a sanitizer do

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
GUNICORN_VERSION := 27.0.1
comma := ,

ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
# program: ./cgunicorn, with the interpreter inside; module: the extension
FRONT ?= program
PREFIX ?= /usr/local

# ---- the interpreter: its real path first, then only its own answers ----
ifndef PYTHON
ifneq ($(and $(VIRTUAL_ENV),$(wildcard $(VIRTUAL_ENV)/bin/python3)),)
PYTHON := $(VIRTUAL_ENV)/bin/python3
else ifneq ($(wildcard /usr/bin/python3),)
PYTHON := /usr/bin/python3
else
PYTHON := python3
endif
endif
PYASK := $(shell $(PYTHON) tools/pyconfig.py 2>/dev/null)
pyask = $(patsubst $(1)=%,%,$(filter $(1)=%,$(PYASK)))
PYEXE := $(call pyask,exe)
PYABI := $(call pyask,abi)
PYLIBDIR := $(call pyask,libdir)
PYLIBPL := $(call pyask,libpl)
PYINC := $(addprefix -I,$(call pyask,include))
PYSYS := $(call pyask,libs)
PYSUFFIX := $(call pyask,suffix)
# Debian has an archive of what its python3 is made of: Python code takes a tenth
# fewer instructions in it than in the shared library (docs/performance.md). The
# archive for shared objects ("-pic") is no faster, but tells that the other is.
PYARCHIVE := $(firstword $(wildcard $(PYLIBPL)/libpython$(PYABI).a $(PYLIBDIR)/libpython$(PYABI).a $(PYLIBPL)/libpython$(PYABI)-pic.a))
# Some lack what Python's own hashes are made of (Debian 13's do): it has to link.
LINKS_ARCHIVE = t=$$(mktemp) && echo 'int Py_BytesMain(int, char **); int main(int n, char **words) { return Py_BytesMain(n, words); }' | $(CC) -w -no-pie -o $$t -x c - -x none $(PYARCHIVE) $(PYSYS) -lexpat -lz -lpthread -lutil >/dev/null 2>&1 && echo 1; rm -f "$$t"
# sanitizers know what the interpreter leaks by the library's name
ifndef STATIC
STATIC := $(if $(filter 0,$(call pyask,shared)),1,$(if $(SAN)$(COVERAGE),0,$(if $(wildcard $(PYLIBPL)/libpython$(PYABI)-pic.a),$(or $(shell $(LINKS_ARCHIVE)),0),0)))
endif

ifeq ($(STATIC),1)
PYLINK := -Wl,--export-dynamic-symbol='Py*' -Wl,--export-dynamic-symbol='_Py*' \
    -Wl,--whole-archive $(PYARCHIVE) -Wl,--no-whole-archive $(if $(findstring -pic,$(PYARCHIVE)),,-no-pie) $(PYSYS) -lexpat -lz -lpthread -lutil
else
RPATH := $(filter-out /usr/lib /usr/lib64 /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu,$(PYLIBDIR))
PYLINK := -L$(PYLIBDIR) -lpython$(PYABI) $(if $(RPATH),-Wl$(comma)-rpath$(comma)$(RPATH)) $(PYSYS)
endif

# ---- flags ----
SANTAG := $(if $(SAN),-$(subst $(comma),-,$(SAN)))
COVTAG := $(if $(DEBUG),-debug)$(if $(COVERAGE),-coverage)$(if $(FUZZ),-fuzz)
ifeq ($(FRONT),module)
# it runs in any interpreter of that version, so all share one build
OUT := build/$(notdir $(CC))-module$(PYSUFFIX)
PIC := -fPIC
else
OUT := build/$(notdir $(CC))-py$(PYABI)$(if $(filter 1,$(STATIC)),s)-$(call pyask,tag)$(SANTAG)$(COVTAG)
PIC := -fPIE
endif
# warnings are errors; STRICT= for compilers that know more of them than ours
STRICT ?= 1
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
    -Wpointer-arith -Wwrite-strings -Wvla -Wno-unused-parameter $(if $(STRICT),-Werror) \
    $(if $(SAN),-Wno-format-truncation -Wno-unknown-warning-option -Wno-tsan)
OPT ?= $(if $(SAN)$(COVERAGE),-O1 -fno-omit-frame-pointer,-O2)
# every function is looked up at the start (below): none needs its way there
CFLAGS += -std=c11 -D_GNU_SOURCE $(OPT) -g $(WARN) -fvisibility=hidden $(PIC) -fno-plt \
    -fstack-protector-strong $(if $(SAN)$(COVERAGE),,-D_FORTIFY_SOURCE=2) -I. \
    -DCG_VERSION='"$(VERSION)"' -DCG_GUNICORN_VERSION='"$(GUNICORN_VERSION)"' $(if $(SAN),-fsanitize=$(SAN)) $(if $(COVERAGE),--coverage) \
    $(if $(SAN)$(DEBUG),-DCG_CHECK_OWNERS) \
    $(if $(FUZZ),-fsanitize=fuzzer-no-link)
# the module takes others' sources where they lie (`make sources`), not archives
ifneq ($(and $(filter module,$(FRONT)),$(wildcard third_party/.complete)),)
THIRD := $(filter-out third_party/zlib/gz%,$(wildcard third_party/*/*.c))
HTTP2 := $(if $(wildcard third_party/nghttp2/nghttp2_session.c),1)
CFLAGS := $(patsubst %/,-I%,$(sort $(dir $(THIRD)))) $(CFLAGS)
LIBS := -lpthread
else
# not every system has an archive of zlib; Python has loaded the shared one
ZLIB := $(if $(filter /%,$(shell $(CC) -print-file-name=libz.a)),-l:libz.a,-lz)
# without it there is no HTTP/2, and a start that asks for it says so
# (a module cannot take an archive that was not made for shared objects, as
# Debian 12's: there it has HTTP/2 after `make sources`)
LINKS_HTTP2 = t=$$(mktemp) && echo 'int nghttp2_is_fatal(int); int f(void) { return nghttp2_session_mem_recv() + nghttp2_is_fatal(1); }' | sed 's/^/int nghttp2_session_mem_recv(); /' | $(CC) -w -x c -fPIC -shared -Wl,-z,text -o $$t - -l:libnghttp2.a >/dev/null 2>&1 && echo 1; rm -f "$$t"
HTTP2 := $(if $(filter /%,$(shell $(CC) -print-file-name=libnghttp2.a)),$(if $(filter module,$(FRONT)),$(shell $(LINKS_HTTP2)),1))
LIBS := -l:libhttp_parser.a -l:libyaml.a $(if $(HTTP2),-l:libnghttp2.a) $(ZLIB) -lpthread
endif
CFLAGS += $(if $(HTTP2),-DCG_HTTP2 -DNGHTTP2_STATICLIB) $(if $(filter module,$(FRONT)),-DCG_MODULE)
# a static libpython has to show its symbols to extension modules, and clang's
# sanitizers, which are static too, theirs to libc; the others not
HIDE := $(if $(filter 1,$(STATIC))$(and $(SAN),$(findstring clang,$(CC))),libhttp_parser.a:libyaml.a:libnghttp2.a:libz.a,ALL)
# `now`: the keeper of a worker drops memory that a late lookup would need
LDFLAGS += $(if $(THIRD),,-Wl$(comma)--exclude-libs$(comma)$(HIDE)) -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN)) $(if $(COVERAGE),--coverage)

# ---- what is built ----
PLAIN := core/base core/http core/exchange core/net core/share core/control core/engine config logging
WITHPY := core/py core/worker core/arbiter cmd
SRC := $(wildcard $(foreach dir,$(PLAIN) $(WITHPY),$(dir)/*.c $(dir)/*/*.c))
DOCGEN := $(wildcard config/docgen*.c)
# what only one of the two front ends has
PROGRAM_SRC := cmd/main.c core/py/runtime/choose.c
MODULE_SRC := cmd/module.c core/py/runtime/module.c
SRC := $(filter-out $(DOCGEN) $(if $(filter module,$(FRONT)),$(PROGRAM_SRC),$(MODULE_SRC)),$(SRC))
OBJ := $(SRC:%.c=$(OUT)/%.o) $(THIRD:%.c=$(OUT)/%.o)
GLUE := $(wildcard $(foreach dir,core/py/glue python/gunicorn_surface,$(dir)/*.py $(dir)/*/*.py $(dir)/*/*/*.py))
GLUEC := $(OUT)/glue.c
PLAINLIB := $(OUT)/plain.a
ALLLIB := $(OUT)/all.a
BIN := $(OUT)/cgunicorn
MODULE := $(OUT)/_cgunicorn$(PYSUFFIX)
FUZZERS := $(patsubst %.c,$(OUT)/%,$(wildcard tests/fuzz/fuzz_*.c))
# objects of unit tests are made on the way: kept, or each run compiles them
.PRECIOUS: $(OUT)/%.o
# UNITS=engine: only the tests of that folder
UNITS ?= *
UNIT := $(patsubst %.c,$(OUT)/%,$(wildcard tests/unit/$(UNITS)/test_*.c))

# one short line for each command; the whole of it with V=1
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)  $(2)")

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all module sources sdist wheels release deb install-files uninstall help run test test-classes unit blackbox soak check install clean bench bench-start fuzz fuzz-run coverage coverage-report setup test-matrix test-races test-apps test-protocols parity docs site

all: cgunicorn

ifeq ($(PYEXE),)
cgunicorn: FORCE
	@echo "PYTHON=$(PYTHON) does not run; name an interpreter with make PYTHON=/path/to/python3" >&2; exit 1
else
# a link that follows the last build, so that tests and users find one name
cgunicorn: $(BIN) FORCE
	@ln -sf $(BIN) $@
endif
FORCE:

$(BIN): $(OBJ) $(GLUEC:.c=.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $^ $(LIBS) $(PYLINK)

ifeq ($(FRONT),module)
module: $(MODULE)
$(MODULE): $(OBJ) $(GLUEC:.c=.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -shared $(LDFLAGS) -o $@ $^ $(LIBS)
	$(if $(HTTP2),,@echo "note: this module has no HTTP/2: there is no libnghttp2.a here that a shared object can take (Debian 12's cannot be taken); run 'make sources' first, or install a wheel of a release")
else
module:
	@$(MAKE) --no-print-directory FRONT=module module
endif

$(OUT)/third_party/%.o: CFLAGS += -w -DHTTP_PARSER_STRICT=0 -DHAVE_UNISTD_H \
    -DHAVE_TIME_H -DHAVE_CLOCK_GETTIME -DHAVE_ARPA_INET_H -DHAVE_NETINET_IN_H \
    -DYAML_VERSION_STRING='"0.2.5"' -DYAML_VERSION_MAJOR=0 \
    -DYAML_VERSION_MINOR=2 -DYAML_VERSION_PATCH=5
$(OUT)/core/py/%.o $(OUT)/tests/unit/py/%.o $(GLUEC:.c=.o): CFLAGS += $(PYINC)
# Python's header comes before the system's, which it sets up: 3.15 for a newer
# POSIX than older C libraries take by themselves
$(OUT)/core/py/%.o: CFLAGS += -DPY_SSIZE_T_CLEAN= -include Python.h
$(OUT)/core/py/%.o $(OUT)/cmd/%.o: CFLAGS += -DCG_BUILD_PYTHON='"$(PYEXE)"'

# what was compiled with other flags is compiled again: `make sources` brings some
FLAGS := $(CC) $(CFLAGS)
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || { echo '$(subst ','\'',$(FLAGS))' >$@.new; mv $@.new $@; }

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  ,$@)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(GLUEC): core/py/embed.py $(GLUE)
	@mkdir -p $(@D)
	$(call say,GLUE,$@)
	$(Q)$(PYEXE) core/py/embed.py $@ _cgunicorn_glue=core/py/glue gunicorn=python/gunicorn_surface
$(GLUEC:.c=.o): $(GLUEC)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(PLAINLIB): $(filter $(addprefix $(OUT)/,$(addsuffix /%,$(PLAIN))) $(OUT)/core/worker/policy.o $(OUT)/core/worker/folders.o $(OUT)/core/worker/reload/tree.o $(OUT)/core/worker/reload/watch.o $(OUT)/core/arbiter/plan/%.o $(OUT)/core/arbiter/pidfile.o $(OUT)/core/arbiter/signals.o $(OUT)/core/arbiter/notify.o,$(OBJ))
	@rm -f $@; ar rcs $@ $^
$(ALLLIB): $(filter-out $(OUT)/cmd/main.o,$(OBJ)) $(GLUEC:.c=.o)
	@rm -f $@; ar rcs $@ $^

# the cases that the black-box tests run over sockets, for the readers alone
$(OUT)/tests/unit/http/cases.inc: tests/cases/http-cases.json tools/cases.py
	@mkdir -p $(@D)
	$(Q)$(PYEXE) tools/cases.py table $< $@
WITHCASES := $(OUT)/tests/unit/http/test_cases.o $(OUT)/tests/unit/engine/test_connection.o
$(WITHCASES): $(OUT)/tests/unit/http/cases.inc
$(WITHCASES): CFLAGS += -I$(OUT)/tests/unit/http

$(OUT)/tests/unit/py/test_%: $(OUT)/tests/unit/py/test_%.o $(ALLLIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $^ $(LIBS) $(PYLINK) -l:libcheck.a -lsubunit -lm -lrt
# what the tests of the engine share
$(filter $(OUT)/tests/unit/engine/%,$(UNIT)): $(OUT)/tests/unit/engine/world.o
$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(PLAINLIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $(filter %.o,$^) $(PLAINLIB) $(LIBS) -l:libcheck.a -lsubunit -lm -lrt

$(OUT)/tests/fuzz/%: $(OUT)/tests/fuzz/%.o $(PLAINLIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -pie $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

# ---- use ----
setup:
	@tools/setup build
run:
	@tools/setup build
	@$(MAKE) --no-print-directory all
	./cgunicorn -c sample_configs/plain.py $(if $(PORT),-b 127.0.0.1:$(PORT)) --chdir samples/hello hello:app

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile

test:
	@tools/setup test
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory blackbox
unit: $(UNIT)
	@tools/run_unit $(UNIT)
blackbox: all
	@tools/run_blackbox
test-classes: all
	@for class in gevent eventlet tornado asgi; do echo "== -k $$class"; \
	    CGUNICORN="$(CURDIR)/cgunicorn -k $$class" tools/test_class || exit 1; done
check: all
	@tools/check $(BIN)
test-matrix:
	@tools/test_matrix
test-races:
	@tools/test_races $(PYEXE)
test-apps:
	@tools/test_apps
test-protocols:
	@tools/test_protocols
parity: all
	@tools/parity
SOAK_SECONDS ?= 600
soak: all
	@$(or $(PYTEST_PYTHON),$(PYEXE)) tests/soak/random_signals.py --seconds $(SOAK_SECONDS) $(SOAK)
bench:
	@tools/setup bench
	@$(MAKE) --no-print-directory all
	@/usr/bin/env python3 tests/bench/bench.py $(BENCH)
bench-start: all
	@$(PYEXE) tests/bench/start.py $(BIN) $(PYEXE)
coverage:
	@tools/setup test
	@$(MAKE) --no-print-directory COVERAGE=1 coverage-report
coverage-report:
	@find $(OUT) -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory unit
	@tools/coverage $(OUT)
fuzz:
	@tools/setup fuzz
	@$(MAKE) --no-print-directory CC=clang SAN=address,undefined FUZZ=1 fuzz-run
fuzz-run: $(FUZZERS)
	@tools/fuzz $(FUZZERS)

# references, manual pages and completion come from the table that the program
# uses
docs: $(OUT)/docgen
	@mkdir -p docs/completion
	$(OUT)/docgen
site:
	@PYTHON="$(PYEXE)" tools/site
$(OUT)/docgen: $(DOCGEN:%.c=$(OUT)/%.o) $(PLAINLIB)
	$(Q)$(CC) $(CFLAGS) -pie $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- releases: docs/releasing.md ----
sources:
	@tools/sources
sdist: sources
	@mkdir -p dist
	@$(PYEXE) tools/package/release.py sdist dist
wheels: sources
	@tools/wheels

# everything together, and what is in it
release: sdist wheels
	@$(PYEXE) tools/package/release.py finish dist
deb:
	@tools/deb dist

# what `make` built last is installed, whatever Python this make would choose:
# sudo forgets the virtual environment that make had
BUILT ?= $(realpath cgunicorn)
DOC := share/doc/cgunicorn
INSTALLS := docs/cgunicorn.1:share/man/man1/cgunicorn.1 \
    docs/cgunicorn.conf.5:share/man/man5/cgunicorn.conf.5 \
    docs/completion/cgunicorn.bash:share/bash-completion/completions/cgunicorn \
    docs/completion/_cgunicorn:share/zsh/site-functions/_cgunicorn \
    docs/completion/cgunicorn.fish:share/fish/vendor_completions.d/cgunicorn.fish \
    $(foreach file,README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE LICENSE.third-party $(wildcard docs/*.md docs/guides/*.md) \
        $(wildcard sample_configs/*.* sample_configs/*/*.*),$(file):$(DOC)/$(file))
pair = $(word $(2),$(subst :, ,$(1)))
define put
	$(Q)install -D -m 644 $(call pair,$(1),1) $(DESTDIR)$(PREFIX)/$(call pair,$(1),2)

endef
install: $(if $(BUILT),,all)
	@$(MAKE) --no-print-directory install-files
install-files:
	$(Q)install -D -m 755 $(BUILT) $(DESTDIR)$(PREFIX)/bin/cgunicorn
	$(foreach file,$(INSTALLS),$(call put,$(file)))
	@echo "installed $(DESTDIR)$(PREFIX)/bin/cgunicorn:"
	@$(DESTDIR)$(PREFIX)/bin/cgunicorn --version
uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/cgunicorn \
	    $(foreach file,$(INSTALLS),$(DESTDIR)$(PREFIX)/$(call pair,$(file),2))
	$(Q)find $(DESTDIR)$(PREFIX)/$(DOC) -depth -type d -empty -delete 2>/dev/null || true
clean:
	rm -rf build cgunicorn
