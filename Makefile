# `make demo` and `make test` are all most people need; `make help` lists the rest.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo test cluster chaos e2e images lint bench fuzz deny crds clean-demo

step := @scripts/step
NODE ?= yes
node := $(filter-out no,$(NODE))
build_images = $(step) 7/8 "build the images" scripts/images --profile dev
run_on_node = $(step) 8/8 "run the images on a real node" scripts/test node

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: ## Transcode a few real clips with a fleet that rises from zero; VIDEO=path takes your own
	$(step) 1/3 "install what is missing" scripts/setup $(if $(VIDEO),,--clips)
	$(step) 2/3 "build Reelpool" cargo build --locked -p reelpool -p reelpool-worker
	$(step) 3/3 "run reelpool up until all is done" scripts/demo $(if $(VIDEO),"$(VIDEO)")

test: ## Everything that must be green: style, lints, build, all tests. It takes root; NODE=no leaves out what does
	$(step) 1/8 "install what the tests need" scripts/setup --tests $(if $(node),--node)
	$(step) 2/8 "build etcd, Kubernetes, CoreDNS, kwok and helm, unless they are there" scripts/cluster-tools
	$(step) 3/8 "check the style" cargo fmt --all --check
	$(step) 4/8 "check the lints" scripts/lint
	$(step) 5/8 "build the programs" cargo build --locked --workspace --bins
	$(step) 6/8 "run the tests" scripts/test
	$(if $(node),$(build_images),@echo "==> (7/8) LEFT OUT: build the images")
	$(if $(node),$(run_on_node),@echo "==> (8/8) LEFT OUT: run the images on a real node")

cluster: ## The operator at scale and under faults, on a real control plane: 1,337 pods, 1,000 pools, leaders, outages
	$(step) 1/4 "install what the tests need" scripts/setup --tests
	$(step) 2/4 "build etcd, Kubernetes, CoreDNS, kwok and helm, unless they are there" scripts/cluster-tools
	$(step) 3/4 "build the programs" cargo build --locked --workspace --bins
	$(step) 4/4 "run the tests" scripts/test cluster

chaos: ## Storms of faults over hundreds of real jobs, on both shells, for an hour; ONLY=cluster ARGS="--seeds 7" for one
	$(step) 1/4 "install what the tests need" scripts/setup --tests
	$(step) 2/4 "build etcd, Kubernetes, CoreDNS, kwok and helm, unless they are there" scripts/cluster-tools
	$(step) 3/4 "build the programs" cargo build --locked --workspace --bins
	$(step) 4/4 "storms" scripts/chaos $(ONLY) $(ARGS)

e2e: ## The chart, a pool and real videos on a real kubelet, with the real images; takes root
	$(step) 1/5 "install what the node needs" scripts/setup --tests --node
	$(step) 2/5 "build etcd, Kubernetes, CoreDNS, kwok and helm, unless they are there" scripts/cluster-tools
	$(step) 3/5 "build the programs" cargo build --locked --workspace --bins
	$(step) 4/5 "build the images" scripts/images --profile dev
	$(step) 5/5 "run the images on a real node" scripts/test node

images: ## The images of operator and worker as OCI archives in target/images, without Docker
	$(step) 1/2 "install what is missing" scripts/setup --images
	$(step) 2/2 "build the images" scripts/images

lint: ## Style and lints only
	$(step) 1/2 "check the style" cargo fmt --all --check
	$(step) 2/2 "check the lints" scripts/lint

bench: ## The cost of a decision, of a ladder, of the worker beside ffmpeg, of the operator and its reaction
	$(step) 1/6 "install what is missing" scripts/setup --tests
	$(step) 2/6 "build etcd, Kubernetes, CoreDNS, kwok and helm, unless they are there" scripts/cluster-tools
	$(step) 3/6 "measure the decision" cargo bench --locked -p reelpool-core
	$(step) 4/6 "measure a ladder" scripts/bench ladder
	$(step) 5/6 "measure the worker" scripts/bench worker
	$(step) 6/6 "measure the operator" scripts/bench operator

fuzz: ## Fuzz the readers of what comes from outside; SECONDS_PER_TARGET=60
	$(step) 1/1 "fuzz" scripts/fuzz

deny: ## Licences, sources, duplicate and vulnerable dependencies
	$(step) 1/1 "check the dependencies" scripts/deny

crds: ## Write the WorkerPool resource's definition anew, after a change of its types
	$(step) 1/1 "write the definition" cargo run --locked -q -p reelpool -- crd --out crds --out charts/reelpool/files/crds

clean-demo: ## Remove what the demo made
	rm -rf reelpool-demo
