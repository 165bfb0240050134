import { startTestServer } from '@aicm/testing/start-server'
import { kill } from '@aicm/testing/processes'
import { readFileSync, readdirSync, existsSync } from 'node:fs'
import { pendingApproval } from './lib/turns.ts'
await using server = await startTestServer()
const client = await server.client()
for (const wait of [0, 0, 50, 100, 300, 1500]) {
const {id} = await client.sessions.create()
const session = client.session(id)
const turn = session.execute('@bash(echo ran >> runs.txt) @text(done)')
const first = await pendingApproval(session)
await new Promise(r => setTimeout(r, wait))
const { claude } = server.sessionProcesses(id)
kill(claude!, 'SIGKILL')
const done = turn.complete().then(c => console.log(wait, 'complete', c.result, c.reason))
await Promise.race([done, pendingApproval(session, first.seq).then(a => client.approvals.answer(a.approvalId, {decision: 'allow'})).then(() => done)])
const log = []
for await (const item of session.events()) { if (item.type!=='delta') log.push(item); if (item.type==='complete') break }
console.log(wait, log.map(m => m.type + (m.type === 'status' ? ':' + m.status : m.type === 'error' ? ':' + m.message : m.type === 'system' ? JSON.stringify(m) : m.type==='approval' ? ':' + m.state : '')).join(' '))
await session.close()
}
