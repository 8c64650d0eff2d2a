#!/usr/bin/env bash
# From nothing to the platform on kind, step by step. Safe to run twice: each step looks at what is
# there, and waits until what it made works, saying what it waits for.
#
#   k8s/kind/install.sh [--dry-run] [STEP...]
#
# Steps: cluster cert-manager gateway kserve images platform check (all of these by default),
# and, if named, knative and kubeflow. --dry-run prints what would be done and does nothing.
# OVERLAY=kind-knative has Knative serve the models: name the step knative before kserve then.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
# shellcheck source=versions.env
source "$here/versions.env"

CLUSTER="${CLUSTER:-mlops}"
OVERLAY="${OVERLAY:-kind}"
WAIT_SECONDS="${WAIT_SECONDS:-300}"
DOWNLOADS="${DOWNLOADS:-$here/.downloads}"
DEFAULT_STEPS=(cluster cert-manager gateway kserve images platform check)
dry_run=""

say() { printf '%s\n' "$*" >&2; }

# Does a command, or prints it. Its arguments hold no secret: those go through files.
run() {
  if [[ -n "$dry_run" ]]; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}

need() {
  [[ -n "$dry_run" ]] && return 0
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { say "$tool is needed and was not found"; exit 2; }
  done
}

# The file of a URL, fetched once and checked: fetch URL FILE SHA256
fetch() {
  local url="$1" file="$2" sha256="$3"
  if [[ -n "$dry_run" ]]; then
    printf 'fetch %s (checksum: %s)\n' "$url" "$sha256"
    return 0
  fi
  mkdir -p "$DOWNLOADS"
  if [[ ! -s "$file" ]]; then
    curl --fail --silent --show-error --location --retry 3 --output "$file.part" "$url"
    mv "$file.part" "$file"
  fi
  printf '%s  %s\n' "$sha256" "$file" | sha256sum --check --quiet ||
    { rm -f "$file"; say "$url is another file than versions.env says; it was removed"; exit 1; }
}

# wait_for WHAT KUBECTL-WAIT-ARGUMENTS...
wait_for() {
  local what="$1"
  shift
  say "waiting for $what, up to $WAIT_SECONDS s"
  run kubectl wait --timeout="${WAIT_SECONDS}s" "$@"
}

step_cluster() {
  need kind kubectl
  if [[ -z "$dry_run" && "$(kind version)" != "kind $KIND_VERSION "* ]]; then
    say "found $(kind version); the node image is that of kind $KIND_VERSION and may not start"
  fi
  if [[ -z "$dry_run" ]] && kind get clusters | grep --quiet --line-regexp "$CLUSTER"; then
    say "cluster $CLUSTER is there"
  else
    run kind create cluster --name "$CLUSTER" --config "$here/cluster.yaml" --image "$KUBERNETES_IMAGE"
  fi
  run kubectl config use-context "kind-$CLUSTER"
  wait_for "all nodes" --for=condition=Ready nodes --all
}

step_cert-manager() {
  need kubectl curl
  local file="$DOWNLOADS/cert-manager-$CERT_MANAGER_VERSION.yaml"
  fetch "https://github.com/cert-manager/cert-manager/releases/download/$CERT_MANAGER_VERSION/cert-manager.yaml" \
    "$file" "$CERT_MANAGER_SHA256"
  run kubectl apply --server-side --filename "$file"
  wait_for "cert-manager's webhook, which certificates need" \
    --namespace cert-manager --for=condition=Available deployment --all
}

step_gateway() {
  need kubectl curl
  local file="$DOWNLOADS/envoy-gateway-$ENVOY_GATEWAY_VERSION.yaml"
  fetch "https://github.com/envoyproxy/gateway/releases/download/$ENVOY_GATEWAY_VERSION/install.yaml" \
    "$file" "$ENVOY_GATEWAY_SHA256"
  run kubectl apply --server-side --force-conflicts --filename "$file"
  wait_for "Envoy Gateway" --namespace envoy-gateway-system \
    --for=condition=Available deployment/envoy-gateway
  run kubectl apply --server-side --filename "$here/kserve-gateway.yaml"
  wait_for "KServe's gateway" --namespace kserve --for=condition=Programmed \
    gateway/kserve-ingress-gateway
}

step_kserve() {
  need helm kubectl
  helm_kserve kserve-crd
  helm_kserve kserve-resources --values "$here/kserve-values.yaml"
  wait_for "KServe's controller and its webhooks" --namespace kserve \
    --for=condition=Available deployment/kserve-controller-manager
}

helm_kserve() {
  local chart="$1"
  shift
  run helm upgrade --install "$chart" "oci://ghcr.io/kserve/charts/$chart" \
    --version "$KSERVE_VERSION" --namespace kserve --create-namespace \
    --wait --timeout "${WAIT_SECONDS}s" "$@"
}

step_knative() {
  need kubectl curl
  local version="${KNATIVE_VERSION#v}"
  knative_file "knative-serving/$version/1-serving-crds.yaml" "$KNATIVE_CRDS_SHA256"
  wait_for "Knative's kinds" --for=condition=Established crd --selector knative.dev/crd-install=true
  knative_file "knative-serving/$version/2-serving-core.yaml" "$KNATIVE_CORE_SHA256"
  knative_file "knative-serving/$version/3-serving-hpa.yaml" "$KNATIVE_HPA_SHA256"
  wait_for "Knative Serving, whose webhook looks at what follows" \
    --namespace knative-serving --for=condition=Available deployment --all
  knative_file "ingress/${version%.*}/kourier/kourier.yaml" "$KNATIVE_KOURIER_SHA256"
  wait_for "Kourier's controller" --namespace knative-serving --for=condition=Available deployment --all
  wait_for "Kourier" --namespace kourier-system --for=condition=Available deployment --all
  run kubectl apply --server-side --filename "$here/knative-serving.yaml"
}

knative_file() {
  local path="$1" sha256="$2"
  local file="$DOWNLOADS/knative-$KNATIVE_VERSION-$(basename "$path")"
  fetch "https://raw.githubusercontent.com/knative/operator/$KNATIVE_FILES_REF/cmd/operator/kodata/$path" \
    "$file" "$sha256"
  # Its controllers fill in what the file leaves empty; a second run may write it again.
  run kubectl apply --server-side --force-conflicts --filename "$file"
}

# The dashboard alone: its overlays want Istio, which is not here.
step_kubeflow() {
  need git kubectl
  local manifests="https://github.com/kubeflow/manifests//"
  run kubectl apply --server-side --kustomize \
    "${manifests}common/kubeflow-namespace/base?ref=$KUBEFLOW_DASHBOARD_REF"
  run kubectl apply --server-side --kustomize \
    "${manifests}applications/centraldashboard/upstream/base?ref=$KUBEFLOW_DASHBOARD_REF"
  wait_for "Kubeflow's dashboard" --namespace kubeflow --for=condition=Available \
    deployment/centraldashboard
}

step_images() {
  need docker kind
  run make -C "$root" images
  run kind load docker-image --name "$CLUSTER" mlops-assets/predictor:kind mlops-assets/platform:kind
}

step_platform() {
  need kubectl
  run kubectl apply --server-side --force-conflicts --kustomize "$root/k8s/overlays/$OVERLAY"
  wait_for "the platform's pods" --namespace mlops --for=condition=Available deployment --all
}

step_check() {
  run "$root/.venv/bin/mlops-assets" doctor --cluster
}

main() {
  local steps=() step
  for step in "$@"; do
    case "$step" in
      --dry-run) dry_run=yes ;;
      cluster | cert-manager | gateway | kserve | images | platform | check | knative | kubeflow)
        steps+=("$step")
        ;;
      *) say "there is no step $step; see the head of $0"; exit 2 ;;
    esac
  done
  [[ ${#steps[@]} -gt 0 ]] || steps=("${DEFAULT_STEPS[@]}")
  for step in "${steps[@]}"; do
    say "== $step"
    "step_$step"
  done
  say "done: ${steps[*]}"
}

main "$@"
