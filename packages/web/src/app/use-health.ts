import { useQuery } from '@tanstack/react-query'
import { useApp, useLogin } from './app.tsx'

export const useHealth = () => {
  const { client } = useApp()
  const login = useLogin()
  return useQuery({
    queryKey: ['health'],
    queryFn: ({ signal }) => client.health({ signal }),
    refetchInterval: 15_000,
    enabled: login !== undefined,
  })
}
