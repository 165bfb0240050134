import { authorize } from '../../../auth/authorize.ts'
import { routes } from '@aicm/protocol'
import type { Services } from '../../services.ts'
import { streamed, type Register } from '../register.ts'

export const registerHealth = (register: Register, services: Services): void => {
  register(routes.health.live, async () => ({ status: 'ok' as const }))
  register(routes.health.ready, async () => ({ status: 'ok' as const }))
  register(routes.health.metrics, async ({ reply }) => {
    const { contentType, text } = await services.metrics.read()
    await reply.type(contentType).send(Buffer.from(text))
    return streamed
  })
  register(routes.health.health, async ({ user }) => ({
    ...(await services.health()),
    ...(authorize(user, 'server.manage') === 'allow' ? { blocked: services.limits.blocked() } : {}),
  }))
}
