import { execFileSync } from 'node:child_process'
import { until } from '@aicm/testing/until'

export type Terminal = Disposable & {
  type(text: string): void
  /** A key by tmux's name: `Enter`, `C-c`. */
  press(key: string): void
  screen(): string
  /** Waits until the screen shows it. */
  shows(text: string | RegExp): Promise<void>
}

/** A real terminal (tmux with a server of its own) that runs a command; what is left on its screen stays there. */
export const openTerminal = (dir: string, command: string[], env: Record<string, string>): Terminal => {
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-S', `${dir}/tmux.sock`, '-f', '/dev/null', ...args], {
      encoding: 'utf8',
      env,
      stdio: 'pipe',
    })
  const quoted = command.map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(' ')
  // The shell stays behind, so that the last screen can be read.
  const start = (): string =>
    tmux('new-session', '-d', '-x', '100', '-y', '40', `${quoted}; echo "exit code $?"; exec cat`)
  try {
    start()
  } catch (error) {
    // tmux itself fails now and then on a busy machine, before it has started anything.
    if (!String(error).includes('server exited unexpectedly')) throw error
    start()
  }
  const screen = (): string => tmux('capture-pane', '-p', '-S', '-200')
  return {
    type: (text) => void tmux('send-keys', '-l', text),
    press: (key) => void tmux('send-keys', key),
    screen,
    shows: async (text) => {
      const there = (): boolean => (typeof text === 'string' ? screen().includes(text) : text.test(screen()))
      await until(`the terminal shows ${text}`, there).catch((error: unknown) => {
        throw new Error(`${error instanceof Error ? error.message : String(error)}; it shows:\n${screen()}`)
      })
    },
    [Symbol.dispose]: () => void tmux('kill-server'),
  }
}
