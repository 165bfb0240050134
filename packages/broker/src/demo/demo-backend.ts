import type { Backend } from '../backend.ts'
import { scriptedApi } from './scripted-api.ts'

/** The scripted API in the place of a model, at a human pace. */
export const demoBackend = (): Backend => {
  const { handler } = scriptedApi({ record: false })
  return { mode: 'demo', upstream: null, credential: 'none', breaker: () => 'closed', answer: handler }
}
