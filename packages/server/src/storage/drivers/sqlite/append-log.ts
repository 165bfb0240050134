import type { AppendLog } from '../../append-log.ts'
import type { Append } from '../../event-store.ts'
import { createConnection } from './connection.ts'
import { openingError } from './opening-error.ts'
import { configure, openFile, type SqliteFile } from './open-file.ts'

const schema = `
  CREATE TABLE IF NOT EXISTS appends (
    position INTEGER PRIMARY KEY, session_id TEXT NOT NULL, set_aside INTEGER NOT NULL DEFAULT 0, data TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS appends_of_session ON appends (session_id, set_aside, position);
`

const prepareFile = (path: string): SqliteFile => {
  let file: SqliteFile | undefined
  try {
    file = openFile(path)
    configure(file)
    file.exec(schema)
    return file
  } catch (error) {
    file?.close()
    throw openingError(path, error)
  }
}

/** A file of its own, as durable as the database. */
export const openAppendLog = ({ path }: { path: string }): AppendLog => {
  const file = prepareFile(path)
  const { write, read, close } = createConnection(file)
  const insert = file.prepare<[string, string]>('INSERT INTO appends (session_id, data) VALUES (?, ?)')
  const ids = file.prepare<[], string>('SELECT DISTINCT session_id FROM appends WHERE set_aside = 0').pluck()
  const select = file
    .prepare<[string], string>('SELECT data FROM appends WHERE session_id = ? AND set_aside = 0 ORDER BY position')
    .pluck()
  const remove = file.prepare<[string]>('DELETE FROM appends WHERE session_id = ? AND set_aside = 0')
  const setAside = file.prepare<[string]>('UPDATE appends SET set_aside = 1 WHERE session_id = ?')
  return {
    add: async (append, onWritten) => {
      const data = JSON.stringify(append)
      await write(() => void insert.run(append.record.id, data), onWritten)
    },
    sessionIds: () => read(() => ids.all()),
    of: (sessionId) => read(() => select.all(sessionId)).map((data): Append => JSON.parse(data)),
    remove: (sessionId) => write(() => void remove.run(sessionId)),
    setAside: (sessionId) => write(() => void setAside.run(sessionId)),
    [Symbol.asyncDispose]: close,
  }
}
