/** One feed session of the mock, as the contract describes it: hello, snapshot or resume, events, states. */
const EPOCH = 'mock-1'
const PAGE = 200
const FLUSH_MS = 200

export function serveFeed(socket, world) {
  let to = 0
  let live = false
  let bbox = null
  let greeted = false
  const sent = new Map()
  const send = (frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame))

  const hello = (frame) => {
    greeted = true
    const resume = frame.resume?.epoch === EPOCH && frame.resume.offset <= world.log.length
    send({ type: 'welcome', session: 's', server_time: new Date().toISOString(), hb_ms: 15000, epoch: EPOCH, limits: {}, mode: resume ? 'resume' : 'snapshot' })
    to = resume ? frame.resume.offset : world.log.length
    if (!resume) {
      const items = [...world.incidents.values()]
      const pages = Math.max(1, Math.ceil(items.length / PAGE))
      for (let page = 0; page < pages; page++) {
        send({ type: 'snap', epoch: EPOCH, offset: to, page, last: page === pages - 1, items: items.slice(page * PAGE, (page + 1) * PAGE) })
      }
    }
    live = true
  }

  const flush = () => {
    if (!live) return
    if (world.log.length > to) {
      const events = world.log.slice(to)
      send({ type: 'ev', epoch: EPOCH, from: to + 1, to: world.log.length, events })
      to = world.log.length
    }
    const inView = ({ lon, lat }) => !bbox || (lon >= bbox[0] && lon <= bbox[2] && lat >= bbox[1] && lat <= bbox[3])
    const set = [...world.states.values()].filter((s) => sent.get(s.id) !== s && inView(s))
    for (const state of set) sent.set(state.id, state)
    if (set.length) send({ type: 'state', set, del: [], conflated: Math.floor(set.length / 9) })
  }

  socket.on('message', (data) => {
    const frame = JSON.parse(String(data))
    if (frame.type === 'hello') hello(frame)
    if (frame.type === 'view') bbox = frame.bbox
    if (frame.type === 'ping') send({ type: 'pong', t: frame.t, server_time: new Date().toISOString() })
  })
  const timer = setInterval(flush, FLUSH_MS)
  const limit = setTimeout(() => greeted || socket.close(4408), 5000)
  socket.on('close', () => {
    clearInterval(timer)
    clearTimeout(limit)
  })
}
