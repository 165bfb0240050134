import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Session } from '@aicm/protocol'
import { firstMatch, startChild, type Child } from '../lib/child.ts'
import { installFakeClaude } from '../lib/fake-claude.ts'
import { interleave } from '../lib/interleave.ts'
import { getRate, postRate } from '../lib/load.ts'
import { node, plainEnvironment } from '../lib/programs.ts'
import type { Bench, RowGroup } from '../lib/row.ts'
import { startServer, type Server } from '../lib/server.ts'

const startBare = async (
  bench: Bench,
  name: string,
  argument: string,
  home: string,
): Promise<{ child: Child; url: string }> => {
  const program = fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))
  const child = await startChild(bench.scope, { argv: [node, program, argument], env: plainEnvironment(home) })
  return { child, url: await firstMatch(child, /listens on (\S+)/) }
}

const bearer = (server: Server) => ({ authorization: `Bearer ${server.token}` })

export const getSession: RowGroup = {
  rows: ['get-session'],
  run: async (bench) => {
    await using claude = await installFakeClaude(bench.scope)
    await using server = await startServer(bench, claude)
    const { id } = await server.readySession()
    const path = `/v1/sessions/${id}`
    const bare = await startBare(bench, 'bare-fastify', JSON.stringify(await server.call('GET', path)), server.dataDir)
    await using _ = bare.child
    const seconds = bench.quick ? 1 : 2
    const values = await interleave({
      rounds: bench.quick ? 4 : 8,
      ours: () => getRate({ url: `${server.url}${path}`, headers: bearer(server) }, seconds),
      baseline: () => getRate({ url: `${bare.url}${path}` }, seconds),
    })
    return [
      {
        name: 'get-session',
        title: 'GET /v1/sessions/{id} with auth',
        ours: { values: values.ours, unit: 'requests/s' },
        baseline: { values: values.baseline, unit: 'requests/s', what: 'bare fastify route, same JSON' },
        limit: { of: 'ratio', at: 'least', value: 0.5 },
      },
    ]
  },
}

/** Sessions that prompts are sent to, one a client. */
const clients = 16
/** In one round; the queues of all sessions hold as many. */
const prompts = 2400
const body = (): string => JSON.stringify({ id: randomUUID(), prompt: '@tokens(5)' })

const untilIdle = async (server: Server, ids: readonly string[]): Promise<void> => {
  for (const id of ids)
    while ((await server.call<Session>('GET', `/v1/sessions/${id}`)).status !== 'idle')
      await new Promise((resolve) => setTimeout(resolve, 50))
}

/** The turns run while more prompts come: answering costs as well as accepting. */
export const acceptedPrompts: RowGroup = {
  rows: ['accepted-prompts'],
  run: async (bench) => {
    await using claude = await installFakeClaude(bench.scope)
    await using server = await startServer(bench, claude)
    const bare = await startBare(bench, 'bare-insert', server.dataDir, server.dataDir)
    await using _ = bare.child
    const ids: string[] = []
    for (let client = 0; client < clients; client++) ids.push((await server.readySession()).id)
    const paths = ids.map((id) => `/v1/sessions/${id}/execute`)
    const values = await interleave({
      rounds: bench.quick ? 3 : 6,
      ours: async () => {
        const rate = await postRate({ url: server.url, headers: bearer(server) }, { amount: prompts, paths, body })
        await untilIdle(server, ids)
        return rate
      },
      baseline: () => postRate({ url: bare.url }, { amount: prompts, paths, body }),
    })
    return [
      {
        name: 'accepted-prompts',
        title: 'accepted prompts, 16 clients',
        ours: { values: values.ours, unit: 'prompts/s' },
        baseline: { values: values.baseline, unit: 'prompts/s', what: 'bare fastify + one durable INSERT each' },
        limit: { of: 'value', at: 'least', value: 1000 },
      },
    ]
  },
}
