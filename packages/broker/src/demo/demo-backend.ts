import type { Backend } from '../backend.ts'
import { scriptedApi } from './scripted-api.ts'

/** The scripted API in the place of a model, at a human pace. */
export const demoBackend = (): Pick<Backend, 'answer'> => {
  const { handler } = scriptedApi({ record: false })
  return { answer: ({ request, response }) => handler(request, response) }
}
