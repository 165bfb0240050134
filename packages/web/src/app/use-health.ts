import { useQuery } from '@tanstack/react-query'
import { useApp, useLogin } from './app.tsx'

export const useHealth = () => {
  const { client } = useApp()
  const login = useLogin()
  return useQuery({
    queryKey: ['health'],
    queryFn: () => client.health(),
    refetchInterval: 15_000,
    enabled: login !== undefined,
  })
}
