import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

const backend = process.env.IOC_BACKEND ?? 'http://127.0.0.1:8787'

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2023',
    // Fonts and images stay files, so that the page's policy needs no `data:` for them.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    sourcemap: false,
  },
  server: {
    proxy: { '/api': { target: backend, ws: true } },
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
  },
})
