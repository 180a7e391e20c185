// The entry. A sign-in code in the address is taken out of it before anything else is loaded, so that neither the
// history nor another script ever sees it.

const code = /^#code=([\w.~-]{1,512})$/.exec(location.hash)?.[1] ?? null
if (location.hash.startsWith('#code=')) {
  history.replaceState(history.state, '', location.pathname + location.search)
}

// An address that is pasted over the one of this page loads nothing by itself.
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#code=')) location.reload()
})

const chosen = localStorage.getItem('telltale-theme')
if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen

await import('./element/app_frame.ts')
const frame = document.createElement('tt-app')
frame.code = code
document.body.append(frame)
