import { createClient, type Client } from '@aicm/client'
import { routes } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { readEvents } from './lib/sse.ts'
import { pendingApproval } from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('linux')
let server: TestServer
let owner: Client
let guest: Client
let guestToken: string
let stranger: Client

beforeAll(async () => {
  server = await startTestServer({ claude: 'fake' })
  const client = async (username: string) => {
    const token = await server.addUser(username)
    return { token, client: await server.client({ token }) }
  }
  owner = (await client('owner')).client
  const made = await client('guest')
  guest = made.client
  guestToken = made.token
  stranger = (await client('stranger')).client
})
afterAll(() => server?.stop())

const shareSession = (id: string, access: 'viewer' | 'driver', username = 'guest') =>
  owner.call(routes.shares.shareSession, { params: { id }, body: { username, access } })
const shareWorkspace = (id: string, access: 'viewer' | 'driver') =>
  owner.call(routes.shares.shareWorkspace, { params: { id }, body: { username: 'guest', access } })
const forbidden = { code: 'forbidden' }
const unknown = { code: 'session_not_found' }

test('a viewer sees a session and changes nothing; nobody else sees it', async () => {
  const { id } = await owner.sessions.create({ name: 'Shown' })
  await owner.session(id).execute('@text(hello)').complete()
  await expect(guest.sessions.get(id)).rejects.toMatchObject(unknown)
  expect(await shareSession(id, 'viewer')).toMatchObject({ username: 'guest', access: 'viewer' })

  const me = await owner.me()
  const seen = { id, name: 'Shown', owner: { id: me.id, username: 'owner', access: 'viewer' } }
  expect(await guest.sessions.get(id)).toMatchObject(seen)
  expect((await guest.sessions.list({ text: 'shown' })).sessions).toMatchObject([seen])
  expect((await owner.sessions.list()).sessions).toContainEqual(expect.objectContaining({ id, owner: null }))
  const { events } = await guest.call(routes.sessions.events, { params: { id }, query: {} })
  expect(events.map(({ type }) => type)).toContain('complete')

  await expect(guest.session(id).execute('x').accepted).rejects.toMatchObject(forbidden)
  await expect(guest.session(id).interrupt()).rejects.toMatchObject(forbidden)
  await expect(guest.session(id).close()).rejects.toMatchObject(forbidden)
  await expect(guest.sessions.update(id, { name: 'mine' })).rejects.toMatchObject(forbidden)
  await expect(guest.sessions.delete(id)).rejects.toMatchObject(forbidden)
  await expect(guest.call(routes.shares.ofSession, { params: { id } })).rejects.toMatchObject(forbidden)
  await expect(stranger.sessions.get(id)).rejects.toMatchObject(unknown)
  expect((await stranger.sessions.list()).sessions).toEqual([])
})

test('a driver sends prompts and answers what the session asks, but neither deletes it nor shares it on', async () => {
  const { id } = await owner.sessions.create()
  await shareSession(id, 'viewer')
  await shareSession(id, 'driver')
  expect(await guest.session(id).execute('@text(from the guest)').complete()).toMatchObject({ result: 'success' })

  const turn = owner.session(id).execute('@tool(Write,{"file_path":"x"})')
  const { approvalId } = await pendingApproval(owner.session(id))
  expect(await guest.approvals.list()).toMatchObject([{ id: approvalId, sessionId: id }])
  expect(await guest.approvals.list({ sessionId: id })).toHaveLength(1)
  expect(await stranger.approvals.list()).toEqual([])
  await expect(stranger.approvals.answer(approvalId, { decision: 'allow' })).rejects.toMatchObject({
    code: 'approval_not_found',
  })
  await guest.approvals.answer(approvalId, { decision: 'allow' })
  expect(await turn.complete()).toMatchObject({ result: 'success' })

  await expect(guest.sessions.delete(id)).rejects.toMatchObject(forbidden)
  await expect(
    guest.call(routes.shares.shareSession, { params: { id }, body: { username: 'stranger', access: 'viewer' } }),
  ).rejects.toMatchObject(forbidden)
})

test('a viewer is shown no request to answer, and answers none', async () => {
  const { id } = await owner.sessions.create()
  await shareSession(id, 'viewer')
  const turn = owner.session(id).execute('@tool(Write,{"file_path":"x"})')
  const { approvalId } = await pendingApproval(owner.session(id))
  expect(await guest.approvals.list()).toEqual([])
  await expect(guest.approvals.answer(approvalId, { decision: 'allow' })).rejects.toMatchObject(forbidden)
  await owner.approvals.answer(approvalId, { decision: 'deny' })
  await turn.complete()
})

test('what one has open of it ends with the share, over WebSocket and as a stream, and one’s own goes on', async () => {
  const { id } = await owner.sessions.create()
  const { id: mine } = await guest.sessions.create()
  const { userId } = await shareSession(id, 'driver')
  const headers = { authorization: `Bearer ${guestToken}` }
  const socket = await openSocket(`${server.url}/v1/ws`, { headers })
  for (const sessionId of [id, mine]) {
    socket.send({ type: 'subscribe', ref: sessionId, sessionId })
    await socket.next('subscribed')
  }
  const stream = await fetch(`${server.url}/v1/sessions/${id}/events`, {
    headers: { ...headers, accept: 'text/event-stream' },
  })
  const reading = (async () => {
    for await (const _ of readEvents(stream));
  })()
  // Less than before is still enough to read.
  await shareSession(id, 'viewer')
  await owner.call(routes.shares.unshareSession, { params: { id, userId } })
  expect(await socket.next('unsubscribed')).toMatchObject({ sessionId: id })
  await reading
  socket.send({ type: 'subscribe', ref: 'again', sessionId: id })
  expect(await socket.next('error')).toMatchObject({ ref: 'again', error: { code: 'session_not_found' } })
  await owner.session(id).execute('@text(alone again)').complete()
  await guest.session(mine).execute('@text(mine)').complete()
  expect(await socket.next('events')).toMatchObject({ sessionId: mine })
  socket.close()
  await expect(guest.sessions.get(id)).rejects.toMatchObject(unknown)
})

test('a workspace is shared with all sessions in it, also those that come later, in pages too', async () => {
  const { id: workspaceId } = await owner.workspaces.create({ name: 'common' })
  const first = await owner.sessions.create({ workspaceId })
  await expect(guest.sessions.create({ workspaceId })).rejects.toMatchObject({ code: 'workspace_not_found' })
  await shareWorkspace(workspaceId, 'driver')
  await shareSession(first.id, 'viewer')
  const second = await owner.sessions.create({ workspaceId })

  expect(await guest.workspaces.get(workspaceId)).toMatchObject({ owner: { username: 'owner', access: 'driver' } })
  expect((await guest.workspaces.list()).map(({ id }) => id)).toContain(workspaceId)
  const inIt = (await guest.sessions.list({ workspaceId })).sessions
  expect(inIt.map(({ id, owner: whose }) => [id, whose?.access])).toEqual([
    [second.id, 'driver'],
    // The most that was given counts.
    [first.id, 'driver'],
  ])
  expect(await guest.session(second.id).execute('@text(x)').complete()).toMatchObject({ result: 'success' })
  await expect(guest.sessions.create({ workspaceId })).rejects.toMatchObject(forbidden)
  await expect(guest.workspaces.delete(workspaceId)).rejects.toMatchObject(forbidden)

  const all: string[] = []
  let cursor: string | undefined
  do {
    const page = await guest.sessions.list({ limit: 1, ...(cursor === undefined ? {} : { cursor }) })
    all.push(...page.sessions.map(({ id }) => id))
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  expect(all).toEqual([...new Set(all)].toSorted().toReversed())
  expect(all).toEqual(expect.arrayContaining([first.id, second.id]))

  const [share] = (await owner.call(routes.shares.ofWorkspace, { params: { id: workspaceId } })).shares
  await owner.call(routes.shares.unshareWorkspace, { params: { id: workspaceId, userId: share?.userId ?? '' } })
  await expect(guest.sessions.get(second.id)).rejects.toMatchObject(unknown)
  expect(await guest.sessions.get(first.id)).toMatchObject({ owner: { access: 'viewer' } })
})

test('shares survive a restart, and whom there is not, or oneself, is refused', async () => {
  const { id } = await owner.sessions.create()
  await shareSession(id, 'viewer', 'GUEST')
  await expect(shareSession(id, 'viewer', 'nobody')).rejects.toMatchObject({ code: 'user_not_found' })
  await expect(shareSession(id, 'viewer', 'owner')).rejects.toMatchObject({ code: 'invalid_request' })
  await server.restart()
  await using again = createClient({ url: server.url, token: guestToken })
  expect(await again.sessions.get(id)).toMatchObject({ owner: { access: 'viewer' } })
})
