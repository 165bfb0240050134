import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Egress } from '../egress/egress.ts'
import type { SessionWalls } from '../isolation/isolation.ts'
import { AppError } from '../lib/app-error.ts'
import { removeTree } from '../process/remove-tree.ts'
import { sizeOfFolders } from '../process/size-of-folders.ts'
import type { WorkspaceRecord } from '../storage/workspace-store.ts'
import { cloneRepository, endClone } from './clone.ts'

type Place = Pick<WorkspaceRecord, 'id' | 'userId' | 'path'>

/** The clones that are under way. */
export type Clones = {
  /** Takes a place for one. Throws quota_exceeded where the user has none left. */
  take(place: Place): Clone
  has(id: string): boolean
  /** Resolves when nothing of it runs any more and its place was given back. */
  end(id: string): Promise<void>
  endAll(): Promise<void>
  /** Removes what a clone has left that was under way when the last server ended. */
  sweep(place: Place): Promise<void>
}

export type Clone = {
  /** Resolves with why it failed. */
  run(repository: { url: string; branch: string | undefined }): Promise<string | undefined>
  /** Gives the place back, when its end is stored or it is not run at all. */
  release(): void
}

const mostMs = 15 * 60_000
/** Each is a Node, a git and a download. */
const mostOfUser = 4
const measureEveryMs = 1000

export const restartedText = 'The server was restarted during the clone. Delete this workspace and create it again.'

export const createClones = (options: {
  dataDir: string
  walls: SessionWalls
  egress: Egress
  /** How much more a user may store; Infinity: as much as they like. */
  bytesLeft(userId: string): Promise<number>
}): Clones => {
  /** `stop` ends it, with the reason that is told. */
  const underWay = new Map<string, { userId: string; stop: AbortController; ended: PromiseWithResolvers<void> }>()
  const scratchOf = ({ userId, id }: Place): string => join(options.dataDir, 'users', userId, 'clones', id)

  const watchSize = async ({ path, userId }: Place, stop: AbortController): Promise<void> => {
    const most = await options.bytesLeft(userId)
    while (most !== Number.POSITIVE_INFINITY && !stop.signal.aborted) {
      if ((await sizeOfFolders([path], stop.signal)) > most)
        stop.abort('quota_exceeded: It is larger than what you may still store.')
      await delay(measureEveryMs, undefined, { signal: stop.signal })
    }
  }

  const end: Clones['end'] = async (id) => {
    const clone = underWay.get(id)
    clone?.stop.abort(restartedText)
    await clone?.ended.promise
  }

  return {
    take: (place) => {
      const { id, userId, path } = place
      if ([...underWay.values()].filter((other) => other.userId === userId).length >= mostOfUser)
        throw new AppError('quota_exceeded', `You may have ${mostOfUser} clones under way at a time.`, {
          retryAfter: 30,
        })
      const stop = new AbortController()
      const ended = Promise.withResolvers<void>()
      underWay.set(id, { userId, stop, ended })
      const release = (): void => {
        underWay.delete(id)
        ended.resolve()
      }
      return {
        release,
        run: async (repository) => {
          const late = `timeout: It took more than ${mostMs / 60_000} minutes.`
          const timer = setTimeout(() => stop.abort(late), mostMs)
          watchSize(place, stop).catch(() => undefined)
          try {
            return await cloneRepository({
              ...{ id, userId, ...repository, into: path, scratch: scratchOf(place), signal: stop.signal },
              ...{ walls: options.walls, egress: options.egress },
            })
          } finally {
            clearTimeout(timer)
            stop.abort()
          }
        },
      }
    },
    has: (id) => underWay.has(id),
    end,
    endAll: async () => void (await Promise.all([...underWay.keys()].map(end))),
    sweep: async (place) => {
      await endClone(place.id)
      await removeTree(scratchOf(place))
      await removeTree(place.path)
    },
  }
}
