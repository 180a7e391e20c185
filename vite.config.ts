import { defineConfig } from 'vite'

// Everything that the page loads is a file of its own: the policy that it is served under allows nothing inline.
export default defineConfig({
  root: 'web',
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
