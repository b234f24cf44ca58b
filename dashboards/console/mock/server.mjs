/**
 * Mock of the whole server, for looking at the console: `npm run mock`, then http://127.0.0.1:8787/.
 *
 * Any user name of a role (operator, supervisor, ward, leader, engineer, admin) with password `demo`.
 * Steering for tests: POST /mock/raise?severity=critical, /mock/drop (close all sockets), /mock/freeze,
 * /mock/thaw, /mock/touch?id=… (somebody else's comment, for a conflict).
 */
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WebSocketServer } from 'ws'
import { serveFeed } from './feed.mjs'
import { boundsOf, loadAreas, loadDevices } from './places.mjs'
import { KINDS, World } from './world.mjs'

const PORT = Number(process.env.PORT ?? 8787)
const DIST = fileURLToPath(new URL('../dist', import.meta.url))
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; " +
  "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.woff': 'font/woff' }
const ROLES = ['operator', 'supervisor', 'ward', 'leader', 'engineer', 'admin']

const areas = loadAreas()
const devices = loadDevices(areas)
const world = new World(devices, Number(process.env.OPEN ?? 42))
const bounds = boundsOf(areas)
const sessions = new Map()
let frozen = false
setInterval(() => frozen || world.tick(), 1000)
setInterval(() => frozen || world.raise(), Number(process.env.RAISE_MS ?? 45_000))

const me = (role) => ({ user: role, name: { operator: 'Trần An', leader: 'Nguyễn Thu Hà' }[role] ?? role, role, wards: role === 'ward' ? [devices[0].ward] : null, lang: 'vi' })
const cookieOf = (request) => /ioc_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1]

function picture(id) {
  const device = devices.find((d) => d.id === id)
  const t = Date.now() / 1000
  const cars = Array.from({ length: 5 }, (_, i) => {
    const x = ((t * (18 + i * 5) + i * 170) % 760) - 60
    return `<rect x="${x}" y="${196 + (i % 3) * 34}" width="62" height="24" rx="6" fill="hsl(${i * 67} 18% ${42 + i * 6}%)"/>`
  }).join('')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360"><rect width="640" height="360" fill="#46525a"/><rect y="0" width="640" height="170" fill="#6b7c86"/><path d="M0 170h640v130H0z" fill="#333b40"/><path d="M0 235h640" stroke="#aab" stroke-dasharray="28 22" stroke-width="3"/>${cars}<text x="14" y="28" fill="#fff" font-family="monospace" font-size="17">${id} ${new Date().toISOString()}</text><text x="14" y="346" fill="#fff" font-family="sans-serif" font-size="16">${device?.name ?? ''}</text></svg>`
}

const body = async (request) => {
  let text = ''
  for await (const chunk of request) text += chunk
  return text ? JSON.parse(text) : {}
}

function send(response, status, value, headers = {}) {
  response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json', 'cache-control': 'no-store', ...headers })
  response.end(value === null ? '' : JSON.stringify(value))
}

async function rest(request, response, path) {
  const role = sessions.get(cookieOf(request))
  if (path === '/session' && request.method === 'POST') {
    const { username, password } = await body(request)
    if (!ROLES.includes(username) || password !== 'demo') return send(response, 401, { title: 'Unauthorized', status: 401 })
    const id = Math.random().toString(36).slice(2)
    sessions.set(id, username)
    return send(response, 200, me(username), { 'set-cookie': `ioc_session=${id}; HttpOnly; SameSite=Strict; Path=/` })
  }
  if (path === '/session/options') return send(response, 200, { oidc: false })
  if (!role) return send(response, 401, { title: 'Unauthorized', status: 401 })
  if (path === '/session' && request.method === 'DELETE') return sessions.delete(cookieOf(request)), send(response, 204, null)
  if (path === '/session') return send(response, 200, me(role))
  if (path === '/city') return send(response, 200, { name: { vi: 'TP. Hồ Chí Minh – khu vực Bình Dương', en: 'Hồ Chí Minh City – Bình Dương area' }, center: [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2], bounds, illustrative: true, version: '0.1.0', state_ttl_s: 90, demo: true })
  if (path === '/areas') return send(response, 200, areas)
  if (path === '/devices') return send(response, 200, { items: devices, version: 1 })
  const [, kind, id, rest] = path.split('/')
  if (kind === 'cameras') {
    if (id.endsWith('3')) return send(response, 502, { title: 'Bad gateway', status: 502, detail: 'camera does not answer' })
    response.writeHead(200, { 'content-type': 'image/svg+xml' })
    return response.end(picture(id))
  }
  if (kind === 'incidents' && rest === 'history') return send(response, 200, { items: world.history.get(id) ?? [] })
  if (kind === 'incidents' && rest === 'commands') {
    await new Promise((resolve) => setTimeout(resolve, 120))
    const answer = world.command(id, await body(request), me(role).name)
    return send(response, answer.status, answer.body)
  }
  if (kind === 'incidents' && id) return world.incidents.has(id) ? send(response, 200, world.incidents.get(id)) : send(response, 404, { title: 'Not found', status: 404 })
  send(response, 404, { title: 'Not found', status: 404 })
}

function steer(url, response) {
  const action = url.pathname.slice('/mock/'.length)
  if (action === 'drop') for (const socket of sockets.clients) socket.terminate()
  if (action === 'freeze') frozen = true
  if (action === 'thaw') frozen = false
  const wanted = KINDS.find((kind) => kind[1] === url.searchParams.get('severity'))
  const made = action === 'raise' ? world.raise(Date.now(), wanted) : null
  if (action === 'touch') world.command(url.searchParams.get('id'), { op: 'comment', expect_rev: world.incidents.get(url.searchParams.get('id')).rev, args: { note: 'Đã gọi điện cho tổ trực.' } }, 'Phạm Hà')
  send(response, 200, { ok: true, id: made?.id })
}

function statics(path, response) {
  let file = join(DIST, normalize(path))
  if (!file.startsWith(DIST) || !existsSync(file) || extname(file) === '') file = join(DIST, 'index.html')
  if (!existsSync(file)) return send(response, 404, { title: 'Run npm run build first', status: 404 })
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': CSP })
  createReadStream(file).pipe(response)
}

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://mock')
  if (url.pathname.startsWith('/api/v1/')) return void rest(request, response, url.pathname.slice(7))
  if (url.pathname.startsWith('/mock/')) return steer(url, response)
  statics(url.pathname, response)
})
const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'ioc.feed.v1' })
server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => {
    if (!sessions.has(cookieOf(request))) return ws.close(4401)
    serveFeed(ws, world)
  })
})
server.listen(PORT, '127.0.0.1', () => console.log(`mock: http://127.0.0.1:${PORT}/  (operator / demo)`))
