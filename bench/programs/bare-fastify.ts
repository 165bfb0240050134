// A fastify server with nothing in it: what any server on this Node must pay for.
import fastify from 'fastify'

const app = fastify()
/** The route of the comparison answers with the same JSON as ours. */
const answer: unknown = JSON.parse(process.argv[2] ?? '{}')

app.get('/readyz', () => ({ status: 'ok' }))
app.get('/v1/sessions/:id', () => answer)

const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`listens on ${url}\n`)
process.on('SIGTERM', () => void app.close().then(() => process.exit(0)))
