import { FlaskConical } from 'lucide-react'
import { useHealth } from './use-health.ts'

/** Nobody shall take the scripted answers for the model's: always visible, cannot be closed. */
export const DemoBanner = () => {
  const health = useHealth()
  if (health.data?.modelApi.mode !== 'demo') return null
  return (
    <aside
      aria-label="Demo mode"
      className="flex shrink-0 items-start gap-2 border-b border-warn/25 bg-warn-tint px-3 py-1.5 text-[0.8125rem] leading-5 text-warn"
    >
      <FlaskConical aria-hidden className="mt-0.5 size-4 shrink-0" />
      <p>
        <b>Demo:</b> the real Claude CLI answers from a built-in scripted API, not from the model. Set{' '}
        <code className="font-mono text-xs">ANTHROPIC_API_KEY</code> and restart the server to use the model.
      </p>
    </aside>
  )
}
