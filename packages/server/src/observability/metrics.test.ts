import { expect, test } from 'vitest'
import { createMetrics } from './metrics.ts'

const linesOf = (text: string, name: string): string[] => text.split('\n').filter((line) => line.startsWith(`${name}{`))

test('each change of a breaker is counted once, and its state told', async () => {
  const metrics = createMetrics(
    () => ({ loaded: 3, live: 2 }),
    () => ({ claude: 'closed', modelApi: 'open', storage: 'closed' }),
  )
  for (const state of ['open', 'half-open', 'open', 'half-open', 'closed'] as const)
    metrics.breakerChanged('storage', state)
  for (let read = 0; read < 2; read++) {
    const { text, contentType } = await metrics.read()
    expect(contentType).toMatch(/^text\/plain; version=/)
    expect(linesOf(text, 'aicm_breaker_changes_total').toSorted()).toEqual([
      'aicm_breaker_changes_total{domain="storage",state="closed"} 1',
      'aicm_breaker_changes_total{domain="storage",state="half-open"} 2',
      'aicm_breaker_changes_total{domain="storage",state="open"} 2',
    ])
    expect(linesOf(text, 'aicm_breaker_state')).toContain('aicm_breaker_state{domain="storage",state="closed"} 1')
    expect(linesOf(text, 'aicm_breaker_state')).toContain('aicm_breaker_state{domain="modelApi",state="open"} 1')
    expect(linesOf(text, 'aicm_breaker_state')).toHaveLength(9)
    expect(linesOf(text, 'aicm_sessions')).toEqual(['aicm_sessions{kind="loaded"} 3', 'aicm_sessions{kind="live"} 2'])
    expect(text).toContain('aicm_process_resident_memory_bytes ')
  }
})
