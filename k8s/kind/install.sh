#!/usr/bin/env bash
# From nothing to the platform on kind, step by step. Safe to run twice: each step looks at what is
# there, and waits until what it made works, saying what it waits for.
#
#   k8s/kind/install.sh [--dry-run] [STEP...]
#
# Steps: cluster cert-manager metrics-server gateway kserve images platform check (all of these by
# default), and, if named, knative and kubeflow. --dry-run prints what would be done and does nothing.
# OVERLAY=kind-knative has Knative serve the models: name the step knative before kserve then.
# After a change of the code: images platform. Every step acts on the cluster kind-$CLUSTER, whatever
# kubectl's current context is.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
# shellcheck source=versions.env
source "$here/versions.env"

CLUSTER="${CLUSTER:-mlops}"
CONTEXT="kind-$CLUSTER"
OVERLAY="${OVERLAY:-kind}"
WAIT_SECONDS="${WAIT_SECONDS:-600}"
DOWNLOADS="${DOWNLOADS:-$here/.downloads}"
DEFAULT_STEPS=(cluster cert-manager metrics-server gateway kserve images platform check)
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

kube() { run kubectl --context "$CONTEXT" "$@"; }

tools_of() {
  case "$1" in
    cluster) echo kind docker kubectl ;;
    cert-manager | gateway | knative) echo kubectl curl sha256sum ;;
    metrics-server | kubeflow) echo kubectl git ;;
    kserve) echo helm kubectl ;;
    images) echo make docker kind ;;
    platform) echo docker kubectl ;;
    check) echo make python3 ;;
  esac
}

# All that the steps need, before the first of them begins.
require_tools() {
  local tool missing=""
  for tool in $(for step in "$@"; do tools_of "$step"; done | tr ' ' '\n' | sort -u); do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  [[ -z "$missing" ]] || { say "needed and not found:$missing"; exit 2; }
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
  kube wait --timeout="${WAIT_SECONDS}s" "$@"
}

# wait_until WHAT COMMAND...: asks until the command succeeds; its last words tell why it did not.
wait_until() {
  local what="$1" deadline=$((SECONDS + WAIT_SECONDS))
  shift
  say "waiting for $what, up to $WAIT_SECONDS s"
  if [[ -n "$dry_run" ]]; then
    run "$@"
    return 0
  fi
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      "$@" || exit 1
      return 0
    fi
    sleep 2
  done
}

step_cluster() {
  if [[ -z "$dry_run" && "$(kind version)" != "kind $KIND_VERSION "* ]]; then
    say "found $(kind version); the node image is that of kind $KIND_VERSION and may not start"
  fi
  if [[ -z "$dry_run" ]] && kind get clusters | grep --quiet --line-regexp "$CLUSTER"; then
    say "cluster $CLUSTER is there"
    run kind export kubeconfig --name "$CLUSTER" # into the file that KUBECONFIG names today
  else
    run kind create cluster --name "$CLUSTER" --config "$here/cluster.yaml" --image "$KUBERNETES_IMAGE"
  fi
  wait_for "all nodes" --for=condition=Ready nodes --all
}

step_cert-manager() {
  local file="$DOWNLOADS/cert-manager-$CERT_MANAGER_VERSION.yaml"
  fetch "https://github.com/cert-manager/cert-manager/releases/download/$CERT_MANAGER_VERSION/cert-manager.yaml" \
    "$file" "$CERT_MANAGER_SHA256"
  kube apply --server-side --filename "$file"
  wait_for "cert-manager's webhook, which certificates need" \
    --namespace cert-manager --for=condition=Available deployment --all
  wait_until "it to take a certificate: its own comes some seconds after it is available" \
    kubectl --context "$CONTEXT" apply --dry-run=server --filename "$here/trial-certificate.yaml"
}

# What autoscalers read.
step_metrics-server() {
  kube apply --server-side --kustomize "$here/metrics-server"
  wait_for "metrics-server" --namespace kube-system --for=condition=Available \
    deployment/metrics-server
  wait_for "what it measures" --for=condition=Available apiservice/v1beta1.metrics.k8s.io
}

step_gateway() {
  local file="$DOWNLOADS/envoy-gateway-$ENVOY_GATEWAY_VERSION.yaml"
  fetch "https://github.com/envoyproxy/gateway/releases/download/$ENVOY_GATEWAY_VERSION/install.yaml" \
    "$file" "$ENVOY_GATEWAY_SHA256"
  kube apply --server-side --force-conflicts --filename "$file"
  wait_for "Envoy Gateway" --namespace envoy-gateway-system \
    --for=condition=Available deployment/envoy-gateway
  kube apply --server-side --filename "$here/kserve-gateway.yaml"
  wait_for "KServe's gateway" --namespace kserve --for=condition=Programmed \
    gateway/kserve-ingress-gateway
}

step_kserve() {
  helm_kserve kserve-crd
  helm_kserve kserve-resources --values "$here/kserve-values.yaml"
  wait_for "KServe's controller and its webhooks" --namespace kserve \
    --for=condition=Available deployment/kserve-controller-manager
}

helm_kserve() {
  local chart="$1"
  shift
  run helm --kube-context "$CONTEXT" upgrade --install "$chart" "oci://ghcr.io/kserve/charts/$chart" \
    --version "$KSERVE_VERSION" --namespace kserve --create-namespace \
    --wait --timeout "${WAIT_SECONDS}s" "$@"
}

step_knative() {
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
  kube apply --server-side --filename "$here/knative-serving.yaml"
}

knative_file() {
  local path="$1" sha256="$2"
  local file="$DOWNLOADS/knative-$KNATIVE_VERSION-$(basename "$path")"
  fetch "https://raw.githubusercontent.com/knative/operator/$KNATIVE_FILES_REF/cmd/operator/kodata/$path" \
    "$file" "$sha256"
  # Its controllers fill in what the file leaves empty; a second run may write it again.
  kube apply --server-side --force-conflicts --filename "$file"
}

# The dashboard alone: its overlays want Istio, which is not here.
step_kubeflow() {
  local manifests="https://github.com/kubeflow/manifests//"
  kube apply --server-side --kustomize \
    "${manifests}common/kubeflow-namespace/base?ref=$KUBEFLOW_MANIFESTS_REF"
  kube apply --server-side --kustomize \
    "${manifests}applications/centraldashboard/upstream/base?ref=$KUBEFLOW_MANIFESTS_REF"
  wait_for "Kubeflow's dashboard" --namespace kubeflow --for=condition=Available \
    deployment/centraldashboard
}

# Images get a tag by what is in them: where the code has changed, pods name another one and restart.
tag_of() {
  local id
  if [[ -n "$dry_run" ]]; then
    echo kind-ID
    return 0
  fi
  id="$(docker image inspect --format '{{.Id}}' "mlops-assets/$1:kind")" || return 1
  id="${id#sha256:}"
  echo "kind-${id:0:12}"
}

step_images() {
  local image tag
  # Attestations hold the time of the build: each would make another image of the same code.
  run env BUILDX_NO_DEFAULT_ATTESTATIONS=1 make -C "$root" images REGISTRY=mlops-assets TAG=kind
  for image in predictor platform; do
    tag="$(tag_of "$image")"
    run docker tag "mlops-assets/$image:kind" "mlops-assets/$image:$tag"
    run kind load docker-image --name "$CLUSTER" "mlops-assets/$image:$tag"
  done
}

step_platform() {
  local predictor platform found workload rendered="$DOWNLOADS/$OVERLAY.yaml"
  predictor="$(tag_of predictor)"
  platform="$(tag_of platform)"
  say "writing $rendered: overlay $OVERLAY with predictor:$predictor and platform:$platform"
  render_platform "$rendered" \
    -e "s|mlops-assets/predictor:kind\$|mlops-assets/predictor:$predictor|" \
    -e "s|mlops-assets/platform:kind\$|mlops-assets/platform:$platform|"
  # A Job cannot be changed, and these are safe to repeat.
  kube delete --namespace mlops --ignore-not-found job/generated-secrets job/bucket
  kube apply --server-side --force-conflicts --filename "$rendered"
  wait_for "keys, passwords and the bucket" --namespace mlops --for=condition=Complete \
    job/generated-secrets job/bucket
  # Not for `Available`, which also holds while the former pods still answer.
  found="$(workloads)"
  for workload in $found; do
    say "waiting for $workload, up to $WAIT_SECONDS s"
    kube rollout status --namespace mlops --timeout="${WAIT_SECONDS}s" "$workload"
  done
}

workloads() {
  if [[ -n "$dry_run" ]]; then
    echo WORKLOAD
  else
    kubectl --context "$CONTEXT" get deployment,statefulset --namespace mlops --output name
  fi
}

render_platform() {
  local file="$1"
  shift
  run mkdir -p "$DOWNLOADS"
  if [[ -n "$dry_run" ]]; then
    run kubectl kustomize "$root/k8s/overlays/$OVERLAY"
  else
    kubectl kustomize "$root/k8s/overlays/$OVERLAY" | sed "$@" >"$file"
  fi
}

step_check() {
  local mode=Standard
  [[ "$OVERLAY" != kind-knative ]] || mode=Knative
  run make -C "$root" .venv/.installed
  run "$root/.venv/bin/mlops-assets" doctor --cluster --context "$CONTEXT" --mode "$mode"
}

main() {
  local steps=() step
  for step in "$@"; do
    case "$step" in
      --dry-run) dry_run=yes ;;
      cluster | cert-manager | metrics-server | gateway | kserve | knative | kubeflow | images | \
        platform | check)
        steps+=("$step")
        ;;
      *) say "there is no step $step; see the head of $0"; exit 2 ;;
    esac
  done
  [[ ${#steps[@]} -gt 0 ]] || steps=("${DEFAULT_STEPS[@]}")
  [[ -n "$dry_run" ]] || require_tools "${steps[@]}"
  for step in "${steps[@]}"; do
    say "== $step"
    "step_$step"
  done
  say "done: ${steps[*]}"
}

main "$@"
