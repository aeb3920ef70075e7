"""Programs that agents really run; each ends with exit code 0 and says `works`, or it fails."""
