# make run    set-up, then the whole platform on this machine (ONCE=1: bring up, check, stop)
# make test   set-up, then lint, types, layers and all tests
# make kind   a cluster on this machine with the platform (k8s/kind/install.sh --dry-run tells how)
# make test-cluster  the end-to-end tests on the cluster that KUBECONFIG names
# make nightly  the tests of serving at length: fuzzing, soak, kills (40 minutes)
PYTHON ?= $(shell command -v python3.11 || command -v python3)
export DAGSTER_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
# Some containers set it. Every process then compiles all that it imports: MLflow 4.7 s, not 1.8 s.
unexport PYTHONDONTWRITEBYTECODE

# What every Python process of .venv (and of the platform's image) runs first. At Python's 700 a fifth
# of the time in which Dagster is imported goes into garbage collection.
GC_THRESHOLD := import gc; gc.set_threshold(50_000, 10, 10)

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: run test nightly lint lock docs manifests clean package images push sbom scan sign digests pin \
  kind test-cluster cluster-report test-manifests

run: $(INSTALLED)
	@$(BIN)/mlops-assets up $(if $(ONCE),--once) $(ARGS)

test: lint
	$(BIN)/pytest

nightly: $(INSTALLED)
	$(BIN)/pytest --hypothesis-profile=nightly --timeout=10800 mlops_assets_tests/serving

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# uv is installed from its own lines of the lock, so that every hash is checked from the first byte.
$(INSTALLED): requirements.lock pyproject.toml
	@echo "setting up .venv (about 15 s with a warm package cache)" >&2
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed and was not found" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@awk '/^uv==/{p=1} p; p && !/\\$$/{exit}' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@echo "$(GC_THRESHOLD)" > .venv/lib/python3.11/site-packages/gc_threshold.pth
	@touch $@

docs: $(INSTALLED)
	$(BIN)/python -m mlops_assets.spec.reference > docs/yaml-reference.md
	$(BIN)/python -m mlops_assets.rollout.timeline docs/rollouts.md
	$(BIN)/python -m mlops_assets_tests.k8s.page

TAG ?= kind
REGISTRY ?= mlops-assets
# Names of images have no capitals, which an owner's name may have.
REPOSITORY = $(shell echo "$(REGISTRY)" | tr '[:upper:]' '[:lower:]')
IMAGES := predictor platform

images:
	for image in $(IMAGES); do docker build --target $$image -t $(REPOSITORY)/$$image:$(TAG) . || exit 1; done

push:
	for image in $(IMAGES); do docker push $(REPOSITORY)/$$image:$(TAG) || exit 1; done

sbom:
	for image in $(IMAGES); do syft $(REPOSITORY)/$$image:$(TAG) -o spdx-json=$$image.spdx.json || exit 1; done

GRYPE ?= grype
scan:
	for image in $(IMAGES); do $(GRYPE) sbom:$$image.spdx.json --fail-on high --only-fixed || exit 1; done

# By digest: a tag may name another image by then.
DIGEST_OF = docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' \
  $(REPOSITORY)/$$image:$(TAG) | grep "^$(REPOSITORY)/$$image@"
sign:
	for image in $(IMAGES); do \
	  digest=$$($(DIGEST_OF)) || exit 1; \
	  cosign sign --yes $$digest || exit 1; \
	  cosign attest --yes --type spdxjson --predicate $$image.spdx.json $$digest || exit 1; \
	done

# One line, for `make pin`: the images that were pushed.
digests:
	@pushed=$$(for image in $(IMAGES); do $(DIGEST_OF) || exit 1; done) && echo PUSHED=$$pushed

# Has staging and production run these images: make pin "$(make -s digests REGISTRY=… TAG=…)"
pin:
	@for image in $(IMAGES); do \
	  found=$$(for each in $(PUSHED); do echo $$each; done | grep -E "/$$image@sha256:[0-9a-f]{64}$$") \
	    || { echo "PUSHED names no $$image by digest" >&2; exit 1; }; \
	  for file in k8s/overlays/staging/images k8s/overlays/production/images; do \
	    sed -E "s|(name: mlops-$$image, newName: ).*|\1$${found%@*}, digest: $${found#*@}}|" \
	      $$file/kustomization.yaml > $$file/written && mv $$file/written $$file/kustomization.yaml \
	      || exit 1; \
	  done; \
	done

kind: $(INSTALLED)
	k8s/kind/install.sh $(STEPS)

# On the cluster that KUBECONFIG names: mlops_assets_tests/kubernetes/real_cluster.py tells the rest.
test-cluster: export MLOPS_TEST_READY_SECONDS ?= 300
test-cluster: export MLOPS_TEST_ROUTING_SECONDS ?= 30
test-cluster: $(INSTALLED)
	$(BIN)/pytest -n 0 -m cluster

# What a cluster says when a test of it has failed: pods, events, ends of logs.
cluster-report:
	-kubectl get pods --all-namespaces --output wide
	-kubectl get events --all-namespaces --sort-by=.metadata.creationTimestamp
	-kubectl describe --namespace mlops-models inferenceservices,httproutes
	-for namespace in mlops mlops-models kserve envoy-gateway-system; do \
	  for pod in $$(kubectl get pods --namespace $$namespace --output name); do \
	    kubectl logs --namespace $$namespace --all-containers --prefix --tail=100 $$pod; \
	  done; \
	done

test-manifests: $(INSTALLED)
	$(BIN)/pytest mlops_assets_tests/k8s mlops_assets_tests/observability mlops_assets_tests/test_workflows.py

package: $(INSTALLED)
	$(BIN)/uv build --no-build-isolation --wheel --out-dir dist

manifests: $(INSTALLED)
	$(BIN)/python -m mlops_assets.observability.manifests k8s/components/prometheus

# The images' locks are parts of the first one: same versions, same hashes.
COMPILE := $(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --quiet
OF_IMAGE := -c requirements.lock --custom-compile-command "make lock"
lock:
	$(COMPILE) --extra cluster --group test pyproject.toml --output-file requirements.lock
	$(COMPILE) $(OF_IMAGE) --extra cluster pyproject.toml --output-file k8s/images/platform.lock
	$(COMPILE) $(OF_IMAGE) --group predictor --output-file k8s/images/predictor.lock

clean:
	rm -rf .venv .mlops
