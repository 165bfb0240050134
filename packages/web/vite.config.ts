import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { docsPage } from './build/docs-page.ts'
import { leaveOut } from './build/leave-out.ts'

const server = 'http://127.0.0.1:2426'

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react(), tailwindcss(), docsPage(), leaveOut()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // The polyfill would be inlined into the page; every browser that runs this build preloads modules by itself.
    modulePreload: { polyfill: false },
    // Nothing as a data: URL: scripts and styles come from the server only, as the Content-Security-Policy wants.
    assetsInlineLimit: 0,
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      // The server checks the Origin of a WebSocket against its own address, so the proxy speaks as that address.
      '/v1': { target: server, ws: true, changeOrigin: true, rewriteWsOrigin: true },
      '/openapi.json': { target: server, changeOrigin: true },
    },
  },
})
