// Node's fetch and the `ws` package: `node client.js http://.../actors/demo/a1`.
const assert = require("assert");
const crypto = require("crypto");
const WebSocket = require("ws");

const base = process.argv[2];
const digest = (data) => crypto.createHash("sha256").update(data).digest("hex");

async function echo(method, body, options = {}) {
  const answer = await fetch(`${base}/echo`, { method, body, ...options });
  assert.strictEqual(answer.status, 200);
  return answer.json();
}

async function talk() {
  const socket = new WebSocket(base.replace("http", "ws") + "/ws");
  await new Promise((resolve, reject) => { socket.on("open", resolve); socket.on("error", reject); });
  for (const size of [1, 125, 126, 70_000, 1_000_000]) {
    const data = crypto.randomBytes(size);
    const answer = new Promise((resolve) => socket.once("message", resolve));
    socket.send(data);
    assert.ok(data.equals(await answer));
  }
  const code = new Promise((resolve) => socket.once("close", resolve));
  socket.close(1000);
  assert.strictEqual(await code, 1000);
}

async function main() {
  for (const method of ["GET", "DELETE", "OPTIONS"]) assert.strictEqual((await echo(method)).method, method);
  assert.strictEqual((await fetch(`${base}/echo`, { method: "HEAD" })).status, 200);
  const data = crypto.randomBytes(3_000_000);
  for (const method of ["POST", "PUT", "PATCH"]) {
    assert.deepStrictEqual(await echo(method, data), { method, size: data.length, sha256: digest(data) });
  }
  async function* pieces() { for (let i = 0; i < 30; i++) yield data.subarray(i * 100_000, (i + 1) * 100_000); }
  const streamed = await echo("POST", ReadableStream.from(pieces()), { duplex: "half" });
  assert.strictEqual(streamed.sha256, digest(data));
  assert.strictEqual((await (await fetch(`${base}/big`)).arrayBuffer()).byteLength, 8_000_000);
  assert.strictEqual(await (await fetch(`${base}/sse`)).text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  for (let i = 0; i < 50; i++) await echo("GET");
  for (let i = 0; i < 5; i++) assert.strictEqual(await (await fetch(`${base}/close`)).text(), "bye");
  await Promise.all(Array.from({ length: 50 }, () => echo("POST", data.subarray(0, 1000))));
  await talk();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
