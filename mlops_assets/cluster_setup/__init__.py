"""What a new cluster needs once, before the platform runs on it: Jobs of the manifests in k8s/."""
