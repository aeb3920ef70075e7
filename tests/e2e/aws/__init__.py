"""A stand-in for AWS: STS and IAM by moto, a Bedrock runtime of our own that checks signatures.

`server` and `policies` run in a virtual environment of their own (`make setup` makes it), as boto3
and the Kubernetes client cannot be installed together. Nothing here talks to a real network.
"""
