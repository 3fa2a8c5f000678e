# pg_saga and pg_invoice: two extensions, one shared library.
#
#   make deps      install what building and testing needs (Debian and npm packages)
#   make           build                     make install   install into the server of PG_CONFIG
#   make demo      the main job on real input, in a throw-away cluster (KEEP=1, INVOICES=dir)
#   make check     every test                make bench     speed, as ratios against pgbench
#   make check-faults   many seeded runs against services that fail and lie
#   make check-sanitizers   the library instrumented, under the tests of what comes from the network
#   make fuzz      five minutes (FUZZ_SECONDS) of mutated definitions, expressions and calls, instrumented
#   make check-terraform   terraform/ and what its instances run
#   make deb       the Debian package, in dist/      make check-deb   the same, installed in a machine that has nothing else
#   make check-container   the steps of container/Containerfile, and what its entry point promises
#   make check-matrix   the tests with PostgreSQL 15, 17 and 18, in Debian 12, 13 and unstable (SUITES=...)
#   make dist      dist/pg_saga-VERSION.zip, as PGXN takes it
#   make clean

MODULE_big = pg_saga
EXTENSION = pg_saga pg_invoice
SAGA_VERSION = 0.2
INVOICE_VERSION = 0.2

# The install scripts are the modules' own .sql files, in dependency order, grants last.
SAGA_SQL = src/common/common.sql src/name/name.sql src/asl/asl.sql src/jsonpath/jsonpath.sql src/endpoint/test.sql src/jsonata/jsonata.sql src/queue/queue.sql \
	src/endpoint/secret.sql src/endpoint/endpoint.sql src/limit/limit.sql src/outbox/outbox.sql src/engine/engine.sql src/source/source.sql src/name/views.sql src/worker/worker.sql src/doctor/doctor.sql \
	src/common/grants.sql
INVOICE_SQL = $(sort $(wildcard src/invoice/*.sql))

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*/*.c)))
SAGA_HDRS = $(wildcard src/*/*.h)
DATA_built = pg_saga--$(SAGA_VERSION).sql pg_invoice--$(INVOICE_VERSION).sql
DATA = $(sort $(wildcard upgrade/*.sql))

# Warnings are errors with SAGA_CFLAGS=-Werror, which t/check sets under CI=true: not in a user's
# build, whose compiler may know warnings that ours does not.
PG_CPPFLAGS = -I$(CURDIR)/src -DSAGA_VERSION='"$(SAGA_VERSION)"'
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare $(SAGA_CFLAGS)
SHLIB_LINK = -lcurl -ljson-c -lexpat -lpcre2-8

EXTRA_CLEAN = $(DATA_built) $(wildcard src/*/*.o src/*/*.bc test/*/*.o test/*/*.so) tmp_check

# Usable before PostgreSQL is there: "make deps" brings it.
ifeq ($(PG_CONFIG),)
override PG_CONFIG = pg_config
endif
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
HAVE_PGXS := $(wildcard $(PGXS))
override with_llvm = no

# PGXS has a "check" of its own, so the goals that only run a script do without it.
SCRIPT_GOALS = deps check check-faults check-sanitizers fuzz check-terraform check-deb check-container check-matrix deb dist demo bench
ifneq ($(filter $(SCRIPT_GOALS),$(MAKECMDGOALS)),)
else ifneq ($(HAVE_PGXS),)
include $(PGXS)
$(OBJS): $(SAGA_HDRS)
else
.PHONY: all install clean
all install:
	@[ -z "$(SAGA_DEPS_DONE)" ] || { echo "there is no PGXS for PG_CONFIG=$(PG_CONFIG)" >&2; exit 1; }
	$(MAKE) deps
	$(MAKE) $@ SAGA_DEPS_DONE=1
clean:
	rm -rf $(EXTRA_CLEAN) pg_saga.so
endif

pg_saga--$(SAGA_VERSION).sql: $(SAGA_SQL)
	{ printf '%s\n' '\echo Use "CREATE EXTENSION pg_saga" to load this file. \quit'; cat $^; } >$@

# The line @invoice.asl.json@ stands for the definition of the workflow.
pg_invoice--$(INVOICE_VERSION).sql: $(INVOICE_SQL) src/invoice/invoice.asl.json
	{ printf '%s\n' '\echo Use "CREATE EXTENSION pg_invoice CASCADE" to load this file. \quit'; \
	  sed -e '/^@invoice.asl.json@$$/{r src/invoice/invoice.asl.json' -e 'd;}' $(INVOICE_SQL); } >$@

.PHONY: deps demo bench check-faults check-sanitizers fuzz check-terraform check-deb check-container check-matrix deb dist
deps:
	t/deps

demo:
	demo/run

bench:
	bench/run

check-faults:
	t/check-faults

check-sanitizers:
	t/check-sanitizers

fuzz:
	FUZZ_SECONDS=$${FUZZ_SECONDS:-300} t/check-sanitizers tap t/086_fuzz_functions.pl t/159_fuzz.pl

check-terraform:
	t/check terraform

deb:
	tools/deb

check-deb:
	t/check-deb $(SUITES)

check-container:
	t/check-container

check-matrix:
	t/check-matrix $(SUITES)

# What is committed; made by hand with the same content it is the same file.
dist:
	mkdir -p dist
	git archive --format=zip --prefix=pg_saga-$(SAGA_VERSION).0/ -o dist/pg_saga-$(SAGA_VERSION).0.zip HEAD
	@echo dist/pg_saga-$(SAGA_VERSION).0.zip

ifneq ($(filter $(SCRIPT_GOALS),$(MAKECMDGOALS)),)
.PHONY: check
check:
	t/check
endif
