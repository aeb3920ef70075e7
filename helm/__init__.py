"""Tools that keep the Helm chart and manifests/ in step with their sources; not shipped."""
