// Node.js as agent tools use it: workers, HTTP, watching files, child processes, compression,
// interfaces. Runs inside a Sandbox.
const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const { once } = require('node:events');
const { Worker } = require('node:worker_threads');
const zlib = require('node:zlib');

const DIRECTORY = '/work/node';

async function worker() {
  const code = 'require("node:worker_threads").parentPort.postMessage(6 * 7)';
  assert.deepEqual(await once(new Worker(code, { eval: true }), 'message'), [42]);
}

async function web() {
  const server = http.createServer((_, answer) => answer.end('hello')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  assert.equal(await answer.text(), 'hello');
  server.close();
  server.closeAllConnections();
}

async function watching() {
  const watcher = fs.watch(DIRECTORY);
  const seen = once(watcher, 'change');
  fs.writeFileSync(`${DIRECTORY}/changed`, 'x');
  await seen;
  watcher.close();
}

async function main() {
  fs.mkdirSync(DIRECTORY, { recursive: true });
  await worker();
  await web();
  await watching();
  assert.equal(execFileSync('python3', ['-c', 'print(1)']).toString(), '1\n');
  assert.equal(zlib.gunzipSync(zlib.gzipSync('text')).toString(), 'text');
  assert.equal(crypto.scryptSync('word', 'salt', 16).length, 16);
  assert.ok(os.networkInterfaces().lo && os.userInfo().username && os.cpus().length);
  console.log('works');
}

main();
