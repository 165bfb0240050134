import type { IsolationLevel } from '@aicm/protocol'

/** From the weakest to the strongest; what each promises is in docs/isolation.md. */
export const levels = ['none', 'process', 'sandbox', 'sealed'] as const satisfies readonly IsolationLevel[]

export const isWeaker = (level: IsolationLevel, than: IsolationLevel): boolean =>
  levels.indexOf(level) < levels.indexOf(than)
