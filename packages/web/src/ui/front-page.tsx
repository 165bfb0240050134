import type { ReactNode } from 'react'
import { Logo } from './logo.tsx'

/** What is seen before somebody is logged in: the name of the product, and one thing to do. */
export const FrontPage = ({ children }: { children: ReactNode }) => (
  <main className="grid min-h-full place-items-center px-4 py-10">
    <div className="w-full max-w-sm">
      <div className="mb-6 flex items-center gap-3">
        <Logo className="size-9" />
        <h1 className="text-xl font-semibold tracking-tight">AICode Manager</h1>
      </div>
      {children}
    </div>
  </main>
)
