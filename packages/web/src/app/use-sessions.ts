import type { CreateSession, Session, SessionStatus, Workspace } from '@aicm/protocol'
import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQueries,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query'
import { useApp } from './app.tsx'

type Filter = { status?: SessionStatus | undefined; text?: string | undefined }

/** Lists have no stream of their own; they are asked for again while the page is visible. */
const every = 5000

export const useSessionList = ({ status, text }: Filter) => {
  const { client } = useApp()
  return useInfiniteQuery({
    queryKey: ['sessions', 'list', { status, text }],
    queryFn: ({ pageParam }) => client.sessions.list({ status, text, cursor: pageParam, limit: 30 }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval: every,
  })
}

export const useSession = (id: string) => {
  const { client } = useApp()
  return useQuery({
    queryKey: ['sessions', 'one', id],
    queryFn: () => client.sessions.get(id),
    refetchInterval: 4 * every,
  })
}

/** The names of some sessions, as far as they are known yet. */
export const useSessionNames = (ids: readonly string[]): Map<string, string> => {
  const { client } = useApp()
  return useQueries({
    queries: [...new Set(ids)].map((id) => ({
      queryKey: ['sessions', 'one', id],
      queryFn: () => client.sessions.get(id),
      staleTime: 60_000,
    })),
    combine: (results) => new Map(results.flatMap(({ data }) => (data === undefined ? [] : [[data.id, data.name]]))),
  })
}

export const useWorkspaces = () => {
  const { client } = useApp()
  return useQuery({
    queryKey: ['workspaces'],
    queryFn: () => client.workspaces.list(),
    refetchInterval: 6 * every,
  })
}

/** Every change to a session goes through here, so that lists and the open session agree at once. */
const useSessionMutation = <Input, Output>(act: (input: Input) => Promise<Output>) => {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: act,
    onSuccess: () => queries.invalidateQueries({ queryKey: ['sessions'] }),
  })
}

export type NewSession = Omit<CreateSession, 'workspaceId'> & { workspace: NewWorkspace }
export type NewWorkspace =
  | { kind: 'empty' }
  | { kind: 'existing'; id: string }
  | { kind: 'git'; name: string; gitUrl: string; branch?: string }
  | { kind: 'folder'; name: string; path: string }

export const useCreateSession = () => {
  const { client, queries } = useApp()

  const makeWorkspace = async (wanted: NewWorkspace): Promise<string | undefined> => {
    if (wanted.kind === 'empty') return undefined
    if (wanted.kind === 'existing') return wanted.id
    const { kind: _, ...body } = wanted
    const made = await client.workspaces.create(body)
    const ready = await whenCloned(made, (id) => client.workspaces.get(id))
    if (ready.status === 'failed')
      throw new Error(`The workspace could not be made: ${ready.error ?? 'unknown reason'}`)
    return ready.id
  }
  return useSessionMutation(async ({ workspace, ...rest }: NewSession): Promise<Session> => {
    const workspaceId = await makeWorkspace(workspace)
    const session = await client.sessions.create({ ...rest, ...(workspaceId === undefined ? {} : { workspaceId }) })
    // Without one it got a new one.
    void queries.invalidateQueries({ queryKey: ['workspaces'] })
    return session
  })
}

const whenCloned = async (workspace: Workspace, look: (id: string) => Promise<Workspace>): Promise<Workspace> => {
  let current = workspace
  while (current.status === 'cloning') {
    await new Promise((resolve) => setTimeout(resolve, 700))
    current = await look(workspace.id)
  }
  return current
}

export type SessionChange = { id: string; name?: string; model?: string; permissionMode?: Session['permissionMode'] }

export const useUpdateSession = () => {
  const { client } = useApp()
  return useSessionMutation(({ id, ...changes }: SessionChange) => client.sessions.update(id, changes))
}

export const useCloseSession = () => {
  const { client } = useApp()
  return useSessionMutation((id: string) => client.session(id).close())
}

export const useDeleteSession = () => {
  const { client, feeds, drafts } = useApp()
  return useSessionMutation(async (id: string) => {
    await client.sessions.delete(id)
    feeds.drop(id)
    drafts.set(id, '')
  })
}
