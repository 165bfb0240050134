// Who may import whom. A room is a folder (or one file) of the sources; the longest matching path decides.
// Tests may import anything; everything else only its own room and the rooms named in `may`.
// A new folder needs a line here: say what it may import, and keep the arrows pointing one way.

/**
 * @typedef {object} Room
 * @property {string} path folder or file below the repository
 * @property {readonly string[] | 'anything'} may paths of other rooms
 */

const protocol = 'packages/protocol/src'
const client = 'packages/client/src'
const broker = 'packages/broker/src'
const server = 'packages/server/src'
const lib = `${server}/lib`
const config = `${server}/config`
const storage = `${server}/storage`
const process = `${server}/process`
const isolation = `${server}/isolation`
const claude = `${server}/claude`
const session = `${server}/session`
const auth = `${server}/auth`
const audit = `${server}/audit`
const egress = `${server}/egress`
const workspaces = `${server}/workspaces`
const files = `${server}/files`
const brokerProcess = `${server}/broker`

const base = [protocol, lib]
const ground = [...base, config, storage]
const machine = [...ground, process, isolation, broker]

/** @type {readonly Room[]} */
export const rooms = [
  { path: protocol, may: [] },
  { path: client, may: [protocol] },
  { path: 'packages/cli/src', may: [protocol, client] },
  { path: 'packages/cli/bin', may: ['packages/cli/src'] },
  { path: 'packages/web', may: [] },
  { path: 'packages/web/src', may: [protocol, client] },
  { path: broker, may: [protocol] },

  { path: lib, may: [protocol] },
  { path: config, may: base },
  { path: storage, may: base },
  { path: `${storage}/migrations`, may: [...base, storage] },
  { path: `${storage}/drivers`, may: [...base, storage, `${storage}/migrations`] },
  { path: process, may: ground },
  { path: isolation, may: [...ground, process] },
  // The CLI's own words: whoever else needs to know what they mean asks claude/.
  { path: `${claude}/wire.ts`, may: base },
  { path: claude, may: [...machine, `${claude}/wire.ts`] },
  { path: session, may: [...machine, claude] },
  // What a damaged database has lost, from wherever else it can be found.
  { path: `${server}/rebuild`, may: [...machine, claude, session, audit] },
  { path: audit, may: ground },
  { path: auth, may: [...ground, audit] },
  // The way out to where users say.
  { path: egress, may: ground },
  { path: workspaces, may: [...ground, process, isolation, auth, egress, `${server}/quotas`] },
  // What touches users' files is started there as a program of its own: it imports nothing.
  { path: `${files}/helper-protocol.ts`, may: [] },
  { path: `${files}/helper.ts`, may: [`${files}/helper-protocol.ts`] },
  { path: files, may: [...ground, process, isolation, `${files}/helper-protocol.ts`] },
  { path: brokerProcess, may: [...ground, process, broker] },
  { path: `${server}/health`, may: [...machine, claude, session, brokerProcess] },
  { path: `${server}/rate-limit`, may: ground },
  { path: `${server}/quotas`, may: ground },
  { path: `${server}/observability`, may: ground },
  { path: `${server}/tasks`, may: [...machine, session, auth] },
  { path: `${server}/plugins`, may: [...machine, session, auth] },
  { path: `${server}/cluster`, may: [...machine, session, auth] },
  {
    path: `${server}/gateway`,
    may: [
      ...machine,
      session,
      auth,
      audit,
      workspaces,
      files,
      brokerProcess,
      `${server}/rate-limit`,
      `${server}/quotas`,
      `${server}/observability`,
      `${server}/tasks`,
      `${server}/plugins`,
    ],
  },
  // The composition root: argv, environment and signals in one, drivers and parts in the others.
  { path: `${server}/main.ts`, may: 'anything' },
  { path: `${server}/start-server.ts`, may: 'anything' },
  { path: `${server}/open-storage.ts`, may: 'anything' },

  { path: 'packages/testing/src', may: 'anything' },
  { path: 'e2e', may: 'anything' },
  { path: 'bench', may: 'anything' },
  { path: 'chaos', may: 'anything' },
  { path: 'attack', may: 'anything' },
  { path: 'scripts', may: 'anything' },
  { path: 'vitest.config.ts', may: 'anything' },
]

/**
 * Modules that belong to some places only.
 * @type {readonly { module: RegExp, within: string, onlyIn: readonly string[], because: string }[]}
 */
export const keepers = [
  {
    module: /^(node:)?child_process$/,
    within: server,
    onlyIn: [process],
    because: 'children are started, watched and ended in process/ alone',
  },
  {
    module: /^(better-sqlite3|lmdb|kysely)(\/|$)/,
    within: server,
    onlyIn: [storage],
    because: 'what stores is behind the contracts in storage/',
  },
  {
    module: /^node:/,
    within: protocol,
    onlyIn: [],
    because: 'it runs in a browser too',
  },
  {
    module: /^node:/,
    within: client,
    onlyIn: [],
    because: 'it runs in a browser too',
  },
  {
    module: /^node:/,
    within: 'packages/web/src',
    onlyIn: [],
    because: 'it runs in a browser',
  },
]

/** Where sources lie; what is found there must belong to a room. */
export const sources = ['packages', 'e2e', 'bench', 'chaos', 'attack', 'scripts', 'vitest.config.ts']
