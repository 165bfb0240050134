import { readFileSync } from 'node:fs'
import {
  brokerControl,
  createSecretBox,
  deriveKey,
  endOf,
  isSubscription,
  parsePrices,
  periods,
  sumKeys,
  type BreakerChange,
  type BrokerConfig,
  type Credential as BrokerCredential,
  type PriceTable,
} from '@aicm/broker'
import type { BudgetSetting, BudgetState } from '@aicm/protocol'
import type { Config } from '../config/config.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { Budget, BudgetRecord } from '../storage/budget-store.ts'
import type { CredentialRecord } from '../storage/credential-store.ts'
import type { Database } from '../storage/database.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { createBrokerProcess, type BrokerProcess } from './broker-process.ts'
import { brokerBudgets } from './budgets.ts'
import { createCredentials, type Credentials } from './credentials.ts'
import { createUsageTaker } from './take-usage.ts'

/** Who pays for the model API, what with, how much, and how much they may. */
export type Spending = {
  broker: BrokerProcess
  credentials: Credentials
  /** Whether calls for this user's sessions cost anything: not where a script answers. */
  isBilled(userId: string): boolean
  /** Whether others than this user may prompt in their sessions: not where nothing but a subscription would pay for that. */
  servesGuests(userId: string): boolean
  /** A prompt of somebody else than this user is the next in one of their sessions, or is not any more. */
  onGuest(userId: string): Promise<void>
  /** Looks which credentials there are, for the answers to these before the broker is up. */
  load(): Promise<void>
  budgets: {
    of(userId: string): Promise<BudgetState[]>
    settings(): Promise<BudgetSetting[]>
    /** What is undefined stays, null removes. */
    set(change: { of: string; day?: Budget | null; month?: Budget | null }): Promise<BudgetSetting>
  }
}

const viewSetting = ({ of, day, month }: BudgetRecord): BudgetSetting => ({ of, day, month })

/** Throws with what is wrong: a server with other prices than it was told would count wrongly. */
const readPrices = (path: string): PriceTable => {
  try {
    return parsePrices(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    throw new Error(
      `The prices in ${path} cannot be used: ${error instanceof Error ? error.message : String(error)}.`,
      {
        cause: error,
      },
    )
  }
}

export const createSpending = (parts: {
  config: Config
  secretKey: Uint8Array
  database: Database
  brokerDir: string
  brokerMain: string
  peek(sessionId: string): Promise<SessionRecord | undefined>
  /** The tokens of this one were renewed. */
  onRenewed(credential: CredentialRecord): Promise<void>
  /** See createUsageTaker. */
  onCompared(agrees: boolean): void
  /** See createBrokerProcess. */
  onBreakerChange(change: BreakerChange): void
  clock: Clock
  log: Log
}): Spending => {
  const { config, database, clock, log } = parts
  const { modelApi } = config
  const prices = config.pricesFile === undefined ? undefined : readPrices(config.pricesFile)
  const sealKey = deriveKey(parts.secretKey, 'renewed tokens')
  const credentials = createCredentials(database.credentials, {
    box: createSecretBox(deriveKey(parts.secretKey, 'credentials')),
    upstream: modelApi.upstream,
    oauth: config.oauth,
    clock,
    log,
  })
  /** The credentials that the broker was told of, by whose they are: null for the shared ones. */
  let paying = new Map<string | null, { subscription: boolean; other: boolean }>()

  const environmentCredentials = async (): Promise<NonNullable<BrokerConfig['credentials']>> => {
    if (modelApi.mode === 'demo') return []
    const { upstream, credential } = modelApi
    if (credential.kind !== 'oauth-token') return [{ id: 'environment', userId: null, upstream, ...credential }]
    const owner = await database.users.findByUsername(config.oauthOwner)
    if (owner !== undefined) return [{ id: 'environment', userId: owner.id, upstream, ...credential }]
    log.error({ owner: config.oauthOwner }, "there is no such user, whom the subscription's token could serve")
    return []
  }

  const load = async (): Promise<BrokerCredential[]> => {
    const stored = modelApi.mode === 'demo' && modelApi.only ? [] : await credentials.open()
    const all = [...(await environmentCredentials()), ...stored]
    paying = new Map(
      [...Map.groupBy(all, ({ userId }) => userId)].map(([userId, group]) => [
        userId,
        { subscription: group.some(isSubscription), other: !group.every(isSubscription) },
      ]),
    )
    return all
  }

  const brokerConfig = async (): Promise<BrokerConfig> => {
    const all = await load()
    // Behind that: a guest's prompt that is not among these yet finds out for itself whether somebody must be told of it.
    const open = await database.sessions.listOpen()
    return {
      mode: modelApi.mode,
      credentials: all.map((credential) => ({ ...credential, maxConcurrent: config.callsPerCredential })),
      budgets: brokerBudgets(await database.budgets.listAll(), open),
      guests: open.flatMap(({ id, state }) => (state.guest === true ? [id] : [])),
      ...(prices === undefined ? {} : { prices }),
      sealKey: sealKey.toString('base64'),
    }
  }

  const broker = createBrokerProcess({
    dir: parts.brokerDir,
    main: parts.brokerMain,
    config: brokerConfig,
    sealKey,
    onRenewed: async (key, tokens) => {
      const renewed = await credentials.renew(key, tokens)
      if (renewed !== undefined) await parts.onRenewed(renewed)
    },
    takeUsage: createUsageTaker({
      usage: database.usage,
      control: brokerControl(parts.brokerDir),
      peek: parts.peek,
      onCompared: parts.onCompared,
      log,
    }),
    onBreakerChange: parts.onBreakerChange,
    extraCaCerts: config.extraCaCerts,
    log,
  })

  return {
    broker,
    credentials,
    isBilled: (userId) => modelApi.mode === 'live' || paying.has(null) || paying.has(userId),
    servesGuests: (userId) => {
      const own = paying.get(userId)
      return own?.subscription !== true || own.other || paying.has(null)
    },
    onGuest: async (userId) => {
      if (paying.get(userId)?.subscription === true) await broker.reconfigure()
    },
    load: async () => void (await load()),
    budgets: {
      of: async (userId) => {
        const now = clock.now()
        const set = brokerBudgets(await database.budgets.listAll(), [])
        const own = { ...set.everybody, ...set.users?.[userId] }
        const wanted = periods.flatMap((period) => [
          {
            budget: `user.${period}` as const,
            period,
            key: sumKeys.user({ userId }, period, now),
            limit: own[period] ?? null,
          },
          {
            budget: `server.${period}` as const,
            period,
            key: sumKeys.server(period, now),
            limit: set.server?.[period] ?? null,
          },
        ])
        const sums = await broker.sums(wanted.map(({ key }) => key))
        return (
          wanted
            // What others have spent is told only where it limits.
            .filter(({ budget, limit }) => budget.startsWith('user') || limit !== null)
            .map(({ budget, period, key, limit }) => ({
              budget,
              limit,
              spent: sums[key] ?? { usd: 0, tokens: 0 },
              resetsAt: isoTime(endOf(period, now)),
            }))
        )
      },
      settings: async () => (await database.budgets.listAll()).map(viewSetting),
      set: async ({ of, day, month }) => {
        const before = (await database.budgets.listAll()).find((record) => record.of === of)
        const record: BudgetRecord = {
          of,
          day: day === undefined ? (before?.day ?? null) : day,
          month: month === undefined ? (before?.month ?? null) : month,
          updatedAt: clock.now(),
        }
        await database.budgets.put(record)
        await broker.reconfigure()
        return viewSetting(record)
      },
    },
  }
}
