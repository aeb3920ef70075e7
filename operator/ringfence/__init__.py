"""Ringfence: a Kubernetes operator that runs untrusted AI-agent code in hardened Pods."""

__version__ = "0.1.0"
