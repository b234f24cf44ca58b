/**
 * Opens the ward page without a network. It keeps the page's own files and nothing else: what the service says is the
 * page's to keep, and every other address goes to the network as if there were no worker.
 */
const FILES = __FILES__
const CACHE = 'ioc-ward-__VERSION__'
const PAGE = '/ward'
const PATIENCE_MS = 4000

self.addEventListener('install', (event) => {
  // All or nothing: half a page would open and then fail.
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()))
})

self.addEventListener('activate', (event) => {
  const old = (names) => names.filter((name) => name.startsWith('ioc-ward-') && name !== CACHE)
  event.waitUntil(
    caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  )
})

self.addEventListener('fetch', (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== self.location.origin || !FILES.includes(pathname)) return
  const kept = () => caches.open(CACHE).then((cache) => cache.match(pathname))
  // The page itself is asked for, so that a new version is seen; its files carry their version in their names.
  // Nor must a network that stalls, or a gateway without a service behind it, keep anybody from working.
  const fresh = () => fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) }).then((found) => (found.status < 500 ? found : kept()), kept)
  const answer = pathname === PAGE ? fresh() : kept().then((found) => found ?? fetch(request))
  event.respondWith(answer.then((found) => found ?? Response.error()))
})
