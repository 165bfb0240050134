import { CodeBlock } from '../ui/code-block.tsx'
import { inputSections } from './tool-text.ts'
import { visible } from './visible.ts'

/** All that a tool is called with, with nothing hidden in it. */
export const ToolInput = ({ input }: { input: unknown }) => {
  const sections = inputSections(input)
  if (sections.length === 0) return <p className="text-sm text-muted">No input.</p>
  return (
    <div className="grid grid-cols-1 gap-2">
      {sections.map(({ label, text }) => (
        <CodeBlock key={label ?? ''} label={label ?? 'input'} code={visible(text)} wrap />
      ))}
    </div>
  )
}
