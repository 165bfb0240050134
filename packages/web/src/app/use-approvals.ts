import type { Approval, Decision } from '@aicm/protocol'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useApp, useLogin } from './app.tsx'

const queryKey = ['approvals'] as const

/** All open permission requests of the user, across sessions. A stream that shows one asks for this list again. */
export const useApprovals = () => {
  const { client } = useApp()
  const login = useLogin()
  return useQuery({
    queryKey,
    queryFn: () => client.approvals.list(),
    refetchInterval: 5000,
    enabled: login !== undefined,
  })
}

export const useAnswer = () => {
  const { client } = useApp()
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ id, ...decision }: Decision & { id: string }): Promise<Approval> =>
      client.approvals.answer(id, decision),
    // Also after a refusal: most often somebody else was first.
    onSettled: () => {
      void queries.invalidateQueries({ queryKey })
      void queries.invalidateQueries({ queryKey: ['sessions'] })
    },
  })
}
