import './styles.css'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { AppProvider, createApp } from './app/app.tsx'
import { createAppRouter } from './router.tsx'

const app = createApp({ url: location.origin, tabStorage: sessionStorage, storage: localStorage })
const router = createAppRouter(app)

// A log-in that ends anywhere (log out, or a 401) leads to the log-in form, which knows the way back.
app.auth.subscribe(() => void router.invalidate())

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
createRoot(root).render(
  <StrictMode>
    <AppProvider app={app}>
      <QueryClientProvider client={app.queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </AppProvider>
  </StrictMode>,
)
