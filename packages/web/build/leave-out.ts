import type { Plugin } from 'vite'

/**
 * Modules that the page imports but never uses, and what stands in their place.
 * - typebox: the protocol's routes carry their schemas; the server checks with them, the page only reads method and path.
 * - rehype-raw, rehype-sanitize: streamdown's own way with raw HTML (an HTML parser of 200 KB). This page shows it as text.
 */
const stubs: Record<string, string> = {
  typebox: 'const none = () => ({}); export const Type = new Proxy({}, { get: () => none })',
  'rehype-raw': 'export default () => { throw new Error("rehype-raw is left out of this build") }',
  'rehype-sanitize':
    'export const defaultSchema = {}; export default () => { throw new Error("rehype-sanitize is left out of this build") }',
}

const prefix = '\0left-out:'

/** Keeps out of the build what is only there because something else imports it. */
export const leaveOut = (): Plugin => ({
  name: 'aicm-leave-out',
  enforce: 'pre',
  apply: 'build',
  resolveId: (source) => (source in stubs ? prefix + source : undefined),
  load: (id) => (id.startsWith(prefix) ? stubs[id.slice(prefix.length)] : undefined),
})
