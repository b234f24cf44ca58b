import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

/** What is bundled travels with its licence. */
const BUNDLED = ['maplibre-gl/LICENSE.txt', '@fontsource/be-vietnam-pro/LICENSE', '@fontsource/jetbrains-mono/LICENSE', 'svelte/LICENSE.md', 'uplot/LICENSE', 'fflate/LICENSE', '@codemirror/view/LICENSE', '@lezer/common/LICENSE']
/** Packages that come without their text. */
const OURS = ['licences/pmtiles.txt']

const licences: Plugin = {
  name: 'licences',
  generateBundle() {
    const texts = [...BUNDLED.map((path) => [path, `node_modules/${path}`] as const), ...OURS.map((path) => [path, path] as const)]
    const source = texts.map(([name, path]) => `${name}\n\n${readFileSync(path, 'utf8')}`).join('\n\n')
    this.emitFile({ type: 'asset', fileName: 'LICENCES.txt', source })
  },
}

const WORKER = 'src/ward/worker.js'
/** What the ward page loads when it is asked for and must have without a network too. */
const OFFLINE_TOO = /\/lib\/i18n\/(vi|en)\.ts$|\/ward\/Outbox\.svelte$|\/components\/Login\.svelte$/

/**
 * The worker that lets the ward page open without a network: `worker.js` with the list of what that page alone needs.
 * The usual plugin would keep every page and the map of the console on each phone.
 */
const wardWorker: Plugin = {
  name: 'ward-worker',
  // After Vite has taken out the chunks that held nothing but styles: a file that is not there fails the whole worker.
  enforce: 'post',
  generateBundle(_, bundle) {
    const files = new Set(['ward', 'ward-manifest.json', 'ward-192.png', 'favicon.svg'])
    const add = (name: string): void => {
      const part = bundle[name]
      // Every browser with a worker reads the smaller form of a font.
      if (!part || files.has(name) || name.endsWith('.woff')) return
      files.add(name)
      if (part.type !== 'chunk') return
      part.imports.forEach(add)
      for (const inner of part.dynamicImports) {
        const found = bundle[inner]
        if (found?.type !== 'chunk') continue
        // A chunk that others import too holds no module, only the way to it.
        if ([found.facadeModuleId ?? '', ...Object.keys(found.modules)].some((id) => OFFLINE_TOO.test(id))) add(inner)
      }
      part.viteMetadata?.importedCss.forEach(add)
      part.viteMetadata?.importedAssets.forEach(add)
    }
    const entry = Object.values(bundle).find((part) => part.type === 'chunk' && part.isEntry && part.name === 'ward')
    if (!entry) throw new Error('the ward page is not built')
    add(entry.fileName)
    const list = [...files].sort().map((name) => `/${name}`)
    const version = createHash('sha256').update(JSON.stringify(list)).digest('hex').slice(0, 12)
    const source = readFileSync(WORKER, 'utf8').replace('__FILES__', JSON.stringify(list)).replace('__VERSION__', version)
    this.emitFile({ type: 'asset', fileName: 'ward-sw.js', source })
  },
}

/** Each `NAME.html` here is a page of its own, which the service shows at `/NAME`; `index.html` is the console. */
const PAGES = readdirSync('.').filter((file) => file.endsWith('.html'))

const backend = process.env.IOC_BACKEND ?? 'http://127.0.0.1:8787'

export default defineConfig({
  plugins: [svelte(), licences, wardWorker],
  build: {
    target: 'es2023',
    // Fonts and images stay files, so that the page's policy needs no `data:` for them.
    assetsInlineLimit: 0,
    // A browser that does not know `modulepreload` loads a moment later what it imports anyway.
    modulePreload: { polyfill: false },
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
