import { sql, type Insertable, type Kysely } from 'kysely'
import type { UsageGroup, UsageRecord, UsageStore } from '../../usage-store.ts'
import { runQuery, type SqlErrors } from './run-query.ts'
import type { Schema } from './schema.ts'

const toRow = (record: UsageRecord): Insertable<Schema['usage']> => ({
  ledger: record.ledger,
  seq: record.seq,
  time: record.time,
  day: new Date(record.time).toISOString().slice(0, 10),
  session_id: record.sessionId,
  user_id: record.userId,
  credential_id: record.credentialId,
  model: record.model,
  input_tokens: record.inputTokens,
  output_tokens: record.outputTokens,
  cache_read_tokens: record.cacheReadTokens,
  cache_write_tokens: record.cacheWriteTokens,
  cost_usd: record.costUsd,
  priced: record.priced ? 1 : 0,
  status: record.status,
  end: record.end,
  first_byte_ms: record.firstByteMs,
  ms: record.ms,
})

const columns = { user: 'user_id', session: 'session_id', model: 'model', day: 'day' } as const satisfies Record<
  UsageGroup,
  keyof Schema['usage']
>

/** As many rows a statement as fit into SQLite's limit of parameters. */
const rowsAtOnce = 500

export const createUsage = (db: Kysely<Schema>, errors: SqlErrors): UsageStore => ({
  add: async (records) => {
    for (let from = 0; from < records.length; from += rowsAtOnce)
      await runQuery(errors, () =>
        db
          .insertInto('usage')
          .values(records.slice(from, from + rowsAtOnce).map(toRow))
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      )
  },
  getLastSeq: async (ledger) => {
    const row = await runQuery(errors, () =>
      db
        .selectFrom('usage')
        .select(({ fn }) => fn.max('seq').as('seq'))
        .where('ledger', '=', ledger)
        .executeTakeFirst(),
    )
    return Number(row?.seq ?? 0)
  },
  listSums: async ({ from, to, userId, sessionId }, group) => {
    const column = columns[group]
    const rows = await runQuery(errors, () =>
      db
        .selectFrom('usage')
        .select(({ fn, ref }) => [
          ref(column).as('key'),
          fn.countAll().as('calls'),
          fn.sum('input_tokens').as('input'),
          fn.sum('output_tokens').as('output'),
          fn.sum('cache_read_tokens').as('read'),
          fn.sum('cache_write_tokens').as('write'),
          fn.sum('cost_usd').as('usd'),
          sql<number>`sum(1 - priced)`.as('guessed'),
        ])
        .where('time', '>=', from)
        .where('time', '<', to)
        .$if(userId !== undefined, (query) => query.where('user_id', '=', userId!))
        .$if(sessionId !== undefined, (query) => query.where('session_id', '=', sessionId!))
        .groupBy(column)
        .orderBy(column)
        .execute(),
    )
    return rows.map((row) => ({
      key: row.key,
      calls: Number(row.calls),
      inputTokens: Number(row.input),
      outputTokens: Number(row.output),
      cacheReadTokens: Number(row.read),
      cacheWriteTokens: Number(row.write),
      costUsd: Number(row.usd),
      guessed: Number(row.guessed),
    }))
  },
})
