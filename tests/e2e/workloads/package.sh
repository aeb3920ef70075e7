#!/bin/sh
# npm: packs a package, installs it from the archive, runs its script and its command. No registry
# is asked. Runs inside a Sandbox.
set -eu
mkdir -p /work/npm/tool && cd /work/npm/tool
cat >package.json <<'JSON'
{
  "name": "tool", "version": "1.0.0", "bin": {"tool": "tool.js"},
  "scripts": {"postinstall": "node -e \"require('fs').writeFileSync('/work/npm/installed', '')\""}
}
JSON
printf '#!/usr/bin/env node\nconsole.log("works")\n' >tool.js
npm pack --silent
npm install --silent --offline --global --foreground-scripts ./tool-1.0.0.tgz
test -e /work/npm/installed
tool
