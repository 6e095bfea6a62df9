// Counts its requests twice: in memory, and in a file that is written anew with each of them.
'use strict'
const fs = require('fs')
const http = require('http')
const path = require('path')

const { PORT, HOST = '127.0.0.1', ROUSE_DATA, ROUSE_ACTOR } = process.env
const kept = path.join(ROUSE_DATA, 'count')

let ram = 0
let file = fs.existsSync(kept) ? Number(fs.readFileSync(kept, 'utf8')) : 0

function count() {
  ram += 1
  file += 1
  // Beside it and then in its place: a suspend may come at any moment, as a crash may.
  fs.writeFileSync(`${kept}.new`, String(file))
  fs.renameSync(`${kept}.new`, kept)
  return { ram, file, pid: process.pid, actor: ROUSE_ACTOR, uptime: process.uptime() }
}

// Told of each wake from memory (docs/runtimes.md): what was drawn before must not be drawn again.
let woken = 0
process.on('SIGURG', () => { woken += 1 })

http.createServer((request, response) => {
  const told = request.url === '/healthz' ? { ok: true } : { ...count(), woken }
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify(told) + '\n')
}).listen(PORT, HOST)
