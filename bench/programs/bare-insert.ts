// A fastify server that makes each prompt durable before its 202, one transaction a request, and does nothing else.
import BetterSqlite from 'better-sqlite3'
import fastify from 'fastify'
import { join } from 'node:path'

const file = new BetterSqlite(join(process.argv[2] ?? '.', 'bare.db'))
file.pragma('journal_mode = WAL')
file.pragma('synchronous = FULL')
file.exec('CREATE TABLE prompts (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)')
const insert = file.prepare<[string]>('INSERT INTO prompts (body) VALUES (?)')

const app = fastify()
app.post('/v1/sessions/:id/execute', (request, reply) => {
  const { lastInsertRowid } = insert.run(JSON.stringify(request.body))
  return reply.code(202).send({ seq: Number(lastInsertRowid) })
})

const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`listens on ${url}\n`)
process.on('SIGTERM', () => void app.close().then(() => process.exit(0)))
