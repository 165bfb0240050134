/* global SwaggerUIBundle */

// Written by the page at log-in, and kept fresh by its tabs.
const currentToken = () => {
  try {
    return JSON.parse(localStorage.getItem('aicm.login') ?? 'null')?.accessToken
  } catch {
    return undefined
  }
}

const dark = matchMedia('(prefers-color-scheme: dark)')
const applyScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', applyScheme)
applyScheme()

/** The token that was filled in: a newer one of the same login takes its place. */
let shown

const ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: 'list',
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  // The default asks a server on the internet to check the specification.
  validatorUrl: null,
  requestInterceptor: (request) => {
    const token = currentToken()
    if (shown !== undefined && token !== undefined && request.headers.Authorization === `Bearer ${shown}`)
      request.headers.Authorization = `Bearer ${token}`
    return request
  },
  onComplete: () => {
    const token = currentToken()
    if (typeof token !== 'string') return
    shown = token
    const schemes = ui.specSelectors.specJson().toJS().components?.securitySchemes ?? {}
    for (const [name, scheme] of Object.entries(schemes)) {
      if (scheme.type === 'http' && scheme.scheme === 'bearer') ui.preauthorizeApiKey(name, token)
    }
    document.getElementById('login-hint').textContent =
      'Requests are sent with the log-in of this browser. Press Authorize to use another token.'
  },
})
