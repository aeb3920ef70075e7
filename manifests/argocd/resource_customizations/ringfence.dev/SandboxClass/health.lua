-- A SandboxClass is read by the operator and has no status: what the API server took is in force.

return { status = "Healthy", message = "SandboxClass has no status" }
