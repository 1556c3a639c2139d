# Imprint. The two commands to know: make demo, make test.
GO ?= go
export CGO_ENABLED = 0
LDFLAGS = -s -w
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK_FLAGS =
# Rooms with goroutines that share state: tested with the race detector too.
RACE = ./base/daemon ./base/dhcp ./host/store ./host/feed ./host/metadata ./host/metadataagent \
       ./host/nsproxy ./host/enroll ./host/blob ./host/computeagent ./host/dhcpagent ./host/l3agent ./host/api/... ./host/compute ./host/identity ./guest/datasource ./host/neutron ./host/dns
# Readers of volumes and disks that anyone may have made: fuzzed in every test run.
FUZZED = ./base/iso9660/FuzzOpen ./base/iso9660/FuzzWrite ./base/vfat/FuzzOpen ./base/vfat/FuzzNames \
         ./base/partition/FuzzRead ./host/configdrive/FuzzVerify
FUZZTIME ?= 5s
BENCHTIME ?= 1s

.PHONY: build demo test test-faults fuzz bench docs packages test-packages clean bench-identify bench-configdrive test-vm bench-metadata bench-path test-guest bench-guest install-guest bench-dhcp test-openstack bench-openstack

build:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags "$(LDFLAGS) -X main.buildVersion=$(VERSION)" -o bin/ ./cmd/...

# Starts everything on an empty state directory and plays the story.
# KEEP=1 leaves it running, APART=1 runs each role as a process of its own.
demo: packages build
	bin/imprint demo $(if $(KEEP),--keep) $(if $(APART),--apart)

# The pages that the programs themselves print.
docs: build
	bin/imprint commands > docs/commands.md

packages:
	@test "$$(id -u)" = 0 || { echo "make demo: needs root: namespaces and nftables rules are made (sudo make demo)" >&2; exit 1; }
	@test/packages openssh-server openssh-client nftables iproute2

test-packages:
	@test/packages openssh-server openssh-client nftables iproute2 iputils-ping procps curl gcc libc6-dev \
	  python3-yaml python3-jinja2 python3-openstackclient dnsmasq-base udhcpc busybox isc-dhcp-client genisoimage xorriso \
	  libarchive-tools p7zip-full dosfstools mtools file gdisk fdisk haproxy dhcpcd-base systemd util-linux knot-dnsutils \
	  python3-oslo.config

test: test-packages build
	@mkdir -p bin
	$(GO) build -o bin/ ./test/report
	$(GO) vet ./...
	$(GO) tool staticcheck $(STATICCHECK_FLAGS) ./...
	@{ $(GO) test -json -shuffle=on -timeout 10m $$($(GO) list ./... | grep -v /test/e2e); \
	   for f in $(FUZZED); do $(GO) test -json -run '^$$' -fuzz "^$${f##*/}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $${f%/*}; done; \
	   CGO_ENABLED=1 $(GO) test -json -race -timeout 10m $(RACE); \
	   $(GO) test -json -timeout 12m ./test/e2e; } | bin/report

# Kills every process in the middle of every step of the story.
test-faults: test-packages build
	@$(GO) build -o bin/ ./test/report
	@$(GO) test -json -tags faults -run TestFaults -parallel 3 -timeout 40m ./test/e2e | bin/report

# What needs a kernel of its own: boots virtual machines, for minutes. IMPRINT_PEERS
# has the scripts guest/build-image and guest/boot-vm.
IMPRINT_PEERS ?= $(CURDIR)/../shared/peers
test-vm: test-packages
	IMPRINT_PEERS=$(IMPRINT_PEERS) $(GO) test -count=1 -timeout 30m -tags vm -v ./test/vm

# Puts the agent and its units into the system below DESTDIR.
install-guest:
	@test -n "$(DESTDIR)" || { echo "make install-guest: DESTDIR is the system's root" >&2; exit 1; }
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/imprint-guest
	install -D bin/imprint-guest $(DESTDIR)/usr/bin/imprint-guest
	ln -sfn imprint-guest $(DESTDIR)/usr/bin/cloud-init
	ln -sfn imprint-guest $(DESTDIR)/usr/bin/cloud-id
	install -D -m 644 -t $(DESTDIR)/lib/systemd/system packaging/guest/systemd/*
	install -d $(DESTDIR)/lib/systemd/system-generators
	ln -sfn /usr/bin/imprint-guest $(DESTDIR)/lib/systemd/system-generators/cloud-init-generator

# Plays the golden cases to the agent and compares the machines that it leaves with
# the real cloud-init's, or with their capture where that is not built. CASES names
# some of them, FLAGS are those of test/guest (-capture, -waiting, -keep DIR, -v).
test-guest:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/imprint-guest
	$(GO) build -o bin/test-guest ./test/guest
	bin/test-guest $(FLAGS) $(CASES)

# What the agent's four stages cost beside the real cloud-init's, in one container.
bench-guest:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/imprint-guest
	$(GO) build -o bin/test-guest ./test/guest
	bin/test-guest -bench

# Each host part in the place of its counterpart in a real OpenStack, which is
# started (or used, if `test/openstack/machine start` was) in namespaces of its
# own. Needs root.
test-openstack: test-packages build
	@$(GO) test -c -tags openstack -o bin/openstack.test ./test/openstack
	@test/openstack/machine run ../../bin/openstack.test -test.v -test.timeout 60m

# The same parts beside each other under load; the last lines are the ratios.
bench-openstack: build
	@$(GO) test -c -tags openstack -o bin/openstack.test ./test/openstack
	@test/openstack/machine run ../../bin/openstack.test -test.run '^$$' -test.bench . -test.benchtime 1x -test.timeout 60m | \
	  awk '/: ratio .* \(goal/ { ratios = ratios $$0 "\n"; next } { print } /^(--- )?FAIL|^openstack:/ { failed = 1 } END { printf "%s", ratios; exit failed || !ratios }'

# Runs every fuzz target for FUZZTIME (or TIME) each.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzzminimizetime 10x -fuzztime $(or $(TIME),$(FUZZTIME)) $$pkg || exit 1; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

# How long it takes to see which data sources a machine has, beside ds-identify.
bench-identify:
	@$(GO) test -run '^$$' -bench '^BenchmarkIdentified$$' ./guest/datasource | awk '{ print } \
	  /\/ds-identify/ { peer = $$3 } /\/ours/ { ours = $$3 } \
	  END { if (!peer) exit 1; printf "identify-time-vs-ds-identify: ratio %.4f (goal 0.0500)\n", ours / peer }'

# A config drive beside Nova's tools, in one run; the last lines are the ratios.
bench-configdrive: test-packages build
	@$(GO) run ./test/drivebench base/openstack/testdata/instances.json bin/imprint

# The metadata service beside a bare handler, and with a million servers: takes
# four minutes and 6 GiB. The last lines are the ratios.
bench-metadata:
	@$(GO) test -run '^$$' -bench '^BenchmarkRequest$$' ./host/metadata
	@{ $(GO) test -run '^$$' -bench '^BenchmarkMetadataService$$' -benchtime 1x -timeout 20m ./host/metadata && \
	   $(GO) test -run '^$$' -bench '^BenchmarkMetadataMillion$$' -benchtime 1x -timeout 20m ./host/metadata; } | \
	   awk '/: ratio .* \(goal/ { ratios = ratios $$0 "\n"; next } { print } /^FAIL/ { failed = 1 } END { printf "%s", ratios; exit failed }'

# The way to the metadata service beside haproxy, in one run; the last lines
# are the ratios. Needs root.
bench-path:
	@test/packages haproxy
	@$(GO) build -o bin/pathbench ./test/pathbench
	@bin/pathbench

# Offers and leases of a network with 10,000 ports, beside dnsmasq.
bench-dhcp:
	@test/packages dnsmasq-base iproute2
	@mkdir -p bin
	@$(GO) build -o bin/dhcpbench ./test/dhcpbench
	@bin/dhcpbench

clean:
	rm -rf bin
