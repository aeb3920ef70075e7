"""The program beside the egress proxy that keeps the AWS credentials of one Sandbox in a file."""
