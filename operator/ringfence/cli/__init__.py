"""The command line `ringfence`: thin commands over packages that know nothing of a terminal."""
