/* global SwaggerUIBundle */

// Written by the page at log-in; present when the reference is opened from a tab that is logged in.
const tokenOfThisTab = () => {
  try {
    return JSON.parse(sessionStorage.getItem('aicm.login') ?? 'null')?.accessToken
  } catch {
    return undefined
  }
}

const dark = matchMedia('(prefers-color-scheme: dark)')
const applyScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', applyScheme)
applyScheme()

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
  onComplete: () => {
    const token = tokenOfThisTab()
    if (typeof token !== 'string') return
    const schemes = ui.specSelectors.specJson().toJS().components?.securitySchemes ?? {}
    for (const [name, scheme] of Object.entries(schemes)) {
      if (scheme.type === 'http' && scheme.scheme === 'bearer') ui.preauthorizeApiKey(name, token)
    }
    document.getElementById('login-hint').textContent =
      'Requests are sent with the log-in of this tab. Press Authorize to use another token.'
  },
})
