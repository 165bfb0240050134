import type { ContentBlock } from '@aicm/protocol'
import type { ReactNode } from 'react'
import { imageUrl } from './images.ts'

/** What a person said. */
export const PromptBubble = ({ content, note }: { content: readonly ContentBlock[]; note?: ReactNode }) => (
  <div className="grid justify-items-end gap-1">
    <div className="max-w-[min(92%,40rem)] min-w-0 rounded-2xl rounded-br-md bg-tint px-4 py-2.5">
      <h3 className="sr-only">Prompt</h3>
      <div className="grid grid-cols-1 gap-2">
        {content.map((block, index) =>
          block.type === 'text' ? (
            <p key={index} dir="auto" className="wrap-anywhere whitespace-pre-wrap">
              {block.text}
            </p>
          ) : (
            <img
              key={index}
              src={imageUrl(block)}
              alt="Attached to the prompt"
              className="max-h-64 max-w-full rounded-lg"
            />
          ),
        )}
      </div>
    </div>
    {note}
  </div>
)
