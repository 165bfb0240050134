import { ImagePlus, SendHorizontal, Square, X } from 'lucide-react'
import { useRef, type ClipboardEvent, type DragEvent, type KeyboardEvent } from 'react'
import { Button } from '../ui/button.tsx'
import { acceptedImages, imageUrl } from './images.ts'
import type { ComposerState } from './use-composer.ts'

const sizing = 'col-start-1 row-start-1 max-h-[40dvh] min-h-11 w-full px-3.5 pt-2.5 pb-1'

type Props = {
  composer: ComposerState
  /** A turn runs: what is sent now waits behind it. */
  running: boolean
  interrupting: boolean
  onSend: () => void
  onInterrupt: () => void
}

export const Composer = ({ composer, running, interrupting, onSend, onInterrupt }: Props) => {
  const area = useRef<HTMLTextAreaElement>(null)
  const files = useRef<HTMLInputElement>(null)
  const { text, images } = composer
  const empty = text.trim() === '' && images.length === 0

  const send = () => {
    if (empty) return
    onSend()
    area.current?.focus()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter also ends the composition of a character in many scripts.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    send()
  }
  const onPaste = (event: ClipboardEvent) => {
    if (event.clipboardData.files.length === 0) return
    event.preventDefault()
    void composer.attach(event.clipboardData.files)
  }
  const onDrop = (event: DragEvent) => {
    if (event.dataTransfer.files.length === 0) return
    event.preventDefault()
    void composer.attach(event.dataTransfer.files)
  }

  return (
    <form
      aria-label="Prompt"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
      className="rounded-xl border border-line-strong/60 bg-surface focus-within:border-accent"
    >
      {images.length > 0 && (
        <ul aria-label="Attached images" className="flex flex-wrap gap-2 px-3 pt-3">
          {images.map((image) => (
            <li key={image.id} className="relative">
              <img
                src={imageUrl(image.block)}
                alt={image.name}
                className="size-16 rounded-lg border border-line object-cover"
              />
              <button
                type="button"
                aria-label={`Remove ${image.name}`}
                onClick={() => composer.detach(image.id)}
                className="absolute -top-2 -right-2 grid size-6 place-items-center rounded-full border border-line bg-surface text-muted hover:text-ink"
              >
                <X aria-hidden className="size-3.5" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div className="grid grid-cols-1">
        {/* The same text in the same place makes the field as high as what is in it. */}
        <div aria-hidden className={`${sizing} invisible overflow-hidden wrap-break-word whitespace-pre-wrap`}>
          {`${text} `}
        </div>
        <textarea
          ref={area}
          aria-label="Prompt"
          aria-keyshortcuts="Enter"
          rows={1}
          value={text}
          maxLength={1_000_000}
          placeholder={running ? 'The next prompt, after this turn…' : 'Ask Claude something…'}
          onChange={(event) => composer.setText(event.target.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
          onDragOver={(event) => event.preventDefault()}
          onDrop={onDrop}
          className={`${sizing} resize-none overflow-y-auto bg-transparent outline-hidden`}
        />
      </div>
      <div className="flex items-center gap-1.5 px-2 pb-2">
        <input
          ref={files}
          type="file"
          accept={acceptedImages}
          multiple
          hidden
          aria-label="Images to attach"
          onChange={(event) => {
            void composer.attach(event.target.files ?? [])
            event.target.value = ''
          }}
        />
        <Button
          look="quiet"
          size="smallIcon"
          aria-label="Attach images"
          title="Attach images"
          onClick={() => files.current?.click()}
        >
          <ImagePlus aria-hidden className="size-4" />
        </Button>
        <p className="min-w-0 grow truncate text-xs text-muted max-sm:invisible" aria-hidden>
          Enter sends · Shift+Enter new line{running ? ' · Esc interrupts' : ''}
        </p>
        {running && (
          <Button
            size="small"
            busy={interrupting}
            aria-keyshortcuts="Escape"
            title="Interrupt (Esc)"
            onClick={onInterrupt}
          >
            <Square aria-hidden className="size-3.5 fill-current" /> Interrupt
          </Button>
        )}
        <Button type="submit" look="primary" size="small" disabled={empty}>
          <SendHorizontal aria-hidden className="size-4" /> {running ? 'Queue' : 'Send'}
        </Button>
      </div>
    </form>
  )
}
