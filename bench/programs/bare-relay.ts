// The least that could stand between a claude and its readers: starts it with pipes and hands every chunk of its output to
// every WebSocket, unread and unstored. `POST /` writes a line to it. Arguments: the command.
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const [file = '', ...args] = process.argv.slice(2)
const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })

const http = createServer((request, response) => {
  request.on('data', (chunk: Buffer) => child.stdin.write(chunk))
  request.on('end', () => response.writeHead(202).end())
})
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false })
child.stdout.on('data', (chunk: Buffer) => {
  for (const socket of sockets.clients) socket.send(chunk, { binary: false })
})

http.listen(0, '127.0.0.1', () => {
  const address = http.address()
  if (typeof address === 'object') process.stdout.write(`listens on http://127.0.0.1:${address?.port}\n`)
})
process.on('SIGTERM', () => {
  child.kill('SIGKILL')
  process.exit(0)
})
