// The actor, in Node: `node server.js`, with `ws` from NODE_PATH. Prints its port.
const http = require("http");
const crypto = require("crypto");
const { WebSocketServer } = require("ws");

const server = http.createServer((request, response) => {
  const path = request.url.split("?")[0];
  if (path === "/sse") {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    let count = 0;
    const timer = setInterval(() => {
      response.write(`data: ${count}\n\n`);
      if (++count === 3) { clearInterval(timer); response.end(); }
    }, 20);
  } else if (path === "/big") {
    response.writeHead(200, { "Content-Length": 8_000_000 });
    response.end(Buffer.alloc(8_000_000, "x"));
  } else if (path === "/close") {
    response.writeHead(200, { Connection: "close" });
    response.end("bye");
  } else {
    const hash = crypto.createHash("sha256");
    let size = 0;
    request.on("data", (data) => { hash.update(data); size += data.length; });
    request.on("end", () => {
      const text = JSON.stringify({ method: request.method, size, sha256: hash.digest("hex") });
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(text);
    });
  }
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
