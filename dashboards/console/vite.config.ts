import { readFileSync, readdirSync } from 'node:fs'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

/** What is bundled travels with its licence. */
const BUNDLED = ['maplibre-gl/LICENSE.txt', '@fontsource/be-vietnam-pro/LICENSE', 'svelte/LICENSE.md', 'uplot/LICENSE', '@codemirror/view/LICENSE', '@lezer/common/LICENSE']

const licences: Plugin = {
  name: 'licences',
  generateBundle() {
    const source = BUNDLED.map((path) => `${path}\n\n${readFileSync(`node_modules/${path}`, 'utf8')}`).join('\n\n')
    this.emitFile({ type: 'asset', fileName: 'LICENCES.txt', source })
  },
}

/** Each `NAME.html` here is a page of its own, which the service shows at `/NAME`; `index.html` is the console. */
const PAGES = readdirSync('.').filter((file) => file.endsWith('.html'))

const backend = process.env.IOC_BACKEND ?? 'http://127.0.0.1:8787'

export default defineConfig({
  plugins: [svelte(), licences],
  build: {
    target: 'es2023',
    // Fonts and images stay files, so that the page's policy needs no `data:` for them.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    sourcemap: false,
    rolldownOptions: { input: Object.fromEntries(PAGES.map((file) => [file.slice(0, -'.html'.length), file])) },
  },
  server: {
    proxy: { '/api': { target: backend, ws: true } },
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
  },
})
