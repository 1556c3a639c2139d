# Imprint. The two commands to know: make demo, make test.
GO ?= go
export CGO_ENABLED = 0
LDFLAGS = -s -w
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK_FLAGS =
# Rooms with goroutines that share state: tested with the race detector too.
RACE = ./base/daemon ./base/dhcp ./host/store ./host/feed ./host/metadata ./host/metadataagent \
       ./host/nsproxy ./host/enroll ./host/blob ./host/computeagent ./host/dns ./host/dhcpagent ./host/l3agent ./host/api/... ./host/compute ./host/identity
FUZZTIME ?= 5s
BENCHTIME ?= 1s

.PHONY: build demo test check fuzz bench bench-dhcp packages test-packages clean

build:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags "$(LDFLAGS) -X main.buildVersion=$(VERSION)" -o bin/ ./cmd/...

# Starts everything on an empty state directory and plays the story.
# KEEP=1 leaves it running.
demo: packages build
	bin/imprint demo $(if $(KEEP),--keep)

packages:
	@test "$$(id -u)" = 0 || { echo "make demo: needs root: namespaces and nftables rules are made (sudo make demo)" >&2; exit 1; }
	@test/packages openssh-server openssh-client nftables iproute2

test-packages:
	@test/packages openssh-server openssh-client nftables iproute2 iputils-ping procps curl gcc libc6-dev \
	  python3-yaml python3-openstackclient dnsmasq-base udhcpc busybox isc-dhcp-client dhcpcd-base systemd util-linux knot-dnsutils genisoimage xorriso libarchive-tools p7zip-full \
	  dosfstools mtools file

test: test-packages build
	@mkdir -p bin
	$(GO) build -o bin/ ./test/report
	$(GO) vet ./...
	$(GO) tool staticcheck $(STATICCHECK_FLAGS) ./...
	@{ $(GO) test -json -shuffle=on -timeout 10m $$($(GO) list ./... | grep -v /test/e2e); \
	   CGO_ENABLED=1 $(GO) test -json -race -timeout 10m $(RACE); \
	   $(GO) test -json -timeout 12m ./test/e2e; } | bin/report

# Runs every fuzz target for FUZZTIME (or TIME) each.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzzminimizetime 10x -fuzztime $(or $(TIME),$(FUZZTIME)) $$pkg || exit 1; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

# Offers and leases of a network with 10,000 ports, beside dnsmasq.
bench-dhcp:
	@test/packages dnsmasq-base iproute2
	@mkdir -p bin
	@$(GO) build -o bin/dhcpbench ./test/dhcpbench
	@bin/dhcpbench

clean:
	rm -rf bin
