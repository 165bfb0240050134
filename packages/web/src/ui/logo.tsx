export const Logo = ({ className = 'size-6' }: { className?: string }) => (
  <svg viewBox="0 0 32 32" aria-hidden className={className}>
    <rect width="32" height="32" rx="8" className="fill-accent" />
    <g className="stroke-on-accent" fill="none" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round">
      <path d="M8.5 10.5 14 16l-5.5 5.5" />
      <path d="M16.5 22h7" />
    </g>
  </svg>
)
