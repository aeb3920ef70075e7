module ringfence.dev/tests/pause

go 1.26
