import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { allRoutes, pathWith } from '../../e2e/lib/routes.ts'
import { frame, openFrames, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { nextAnswer } from '../lib/ws-cases.ts'

export const shellCharacters: Row = {
  name: 'shell-characters',
  title: 'paths, branches, ids, models, names and prompts with shell characters, line ends or a leading -',
  expected: 'refused by their pattern, or data only: never a shell, never a flag',
  run: async (attack, attempt) => {
    const { ask, url, alice, dataDir } = await attack.shared()
    const { token, client } = alice
    const canary = join(dataDir, 'canary')
    const hostile = [
      `$(touch ${canary})`,
      `\`touch ${canary}\``,
      `; touch ${canary}`,
      `| touch ${canary}`,
      `&& touch ${canary}`,
      `x\ntouch ${canary}`,
      `--dangerously-skip-permissions`,
      `-p`,
      `--mcp-config={"mcpServers":{"x":{"command":"touch","args":["${canary}"]}}}`,
      `--upload-pack=touch ${canary}`,
      `../../${canary}`,
      `'; touch ${canary}; '`,
      `" && touch ${canary} && "`,
    ]
    const post = async (path: string, body: object) => (await ask(path, { method: 'POST', token, body })).seen
    for (const text of hostile) {
      const name = JSON.stringify(text)
      attempt(`model ${name}`, '400', await post('/v1/sessions', { model: text }))
      attempt(`permission mode ${name}`, '400', await post('/v1/sessions', { permissionMode: text }))
      attempt(`workspace ${name}`, '400', await post('/v1/workspaces', { name: text }))
      attempt(
        `branch ${name}`,
        '400',
        await post('/v1/workspaces', { name: 'x', gitUrl: `${url}/x.git`, branch: text }),
      )
      attempt(`git URL ${name}`, '400', await post('/v1/workspaces', { name: 'x', gitUrl: text }))
      attempt(`path ${name}`, '400 or 403', await post('/v1/workspaces', { name: 'x', path: text }))
      attempt(`path /${name}`, '400 or 403', await post('/v1/workspaces', { name: 'x', path: `/${text}` }))
    }
    for (const gitUrl of [
      `ext::sh -c touch% ${canary}`,
      `ssh://-oProxyCommand=touch%20${canary}/x`,
      `file://${dataDir}`,
      `${url}/x.git --upload-pack=x`,
      `-u${url}`,
    ])
      attempt(`git URL ${gitUrl}`, '400', await post('/v1/workspaces', { name: 'x', gitUrl }))

    const idRoutes = allRoutes.filter(({ path }) => path.includes(':id'))
    using socket = await openFrames(url, token)
    for (const text of hostile) {
      for (const route of idRoutes)
        attempt(
          `${route.method} ${route.path} with id ${JSON.stringify(text)}`,
          '400 or 404',
          (
            await ask(pathWith(route, encodeURIComponent(text)), {
              method: route.method,
              token,
              ...(route.body === undefined ? {} : { body: {} }),
            })
          ).seen,
        )
      socket.write(frame(opcodes.text, JSON.stringify({ type: 'subscribe', ref: 'x', sessionId: text })))
      attempt(`subscribe to ${JSON.stringify(text)}`, 'error invalid_request', await nextAnswer(socket))
      socket.write(frame(opcodes.text, JSON.stringify({ type: 'execute', ref: 'x', sessionId: text, prompt: 'x' })))
      attempt(`execute in ${JSON.stringify(text)}`, 'error invalid_request', await nextAnswer(socket))
    }

    // As a prompt, a name or a system prompt each of them is a text like any other.
    const some = attack.size === 'test' ? hostile.filter((_, at) => [0, 6, 8].includes(at)) : hostile
    const session = await client.sessions.create({ systemPrompt: some.join(' '), name: '--model=x; $(id)' })
    for (const text of some) {
      const { result, text: said } = await client.session(session.id).execute(`${text} @text(data)`).complete()
      attempt(`prompt ${JSON.stringify(text)}`, 'success data', `${result} ${said}`)
    }
    const { model, permissionMode } = await client.sessions.get(session.id)
    attempt('settings of the session afterwards', 'null default', `${model} ${permissionMode}`)
    const { path } = await client.workspaces.get(session.workspaceId)
    attempt('files in its workspace', '0', `${readdirSync(path).length}`)
    attempt('the canary', 'not made', existsSync(canary) ? 'made' : 'not made')
    await client.sessions.delete(session.id)
  },
}
