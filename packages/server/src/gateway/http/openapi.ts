import fastify from 'fastify'
import type { Services } from '../services.ts'
import { registerRoutes, schemaController } from './register-routes.ts'

/** The OpenAPI document of all routes, made when somebody asks for it: on a server of its own, which never listens. */
export const describeRoutes = async (services: Services): Promise<object> => {
  const { default: swagger } = await import('@fastify/swagger')
  const app = fastify({ schemaController })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'AICode Manager',
        version: services.version,
        description: 'Sessions of the Claude Code CLI that outlive every process.',
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  })
  registerRoutes(app, services)
  await app.ready()
  return app.swagger()
}
