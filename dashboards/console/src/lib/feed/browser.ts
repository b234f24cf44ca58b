/** The browser side of the feed: WebSocket, timers, and the page events that should wake it. */
import type { FeedConnection, Socket, Surroundings } from './connection'

export const FEED_PATH = '/api/v1/feed'
export const SUBPROTOCOL = 'ioc.feed.v1'

function openSocket(): Socket {
  const url = new URL(FEED_PATH, location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const raw = new WebSocket(url, SUBPROTOCOL)
  const socket: Socket = {
    onopen: null,
    onmessage: null,
    onclose: null,
    send: (text) => {
      if (raw.readyState === WebSocket.OPEN) raw.send(text)
    },
    close: () => raw.close(),
  }
  raw.onopen = () => socket.onopen?.()
  raw.onmessage = (message) => socket.onmessage?.(String(message.data))
  raw.onclose = (event) => socket.onclose?.(event.code)
  return socket
}

export const browserSurroundings: Surroundings = {
  open: openSocket,
  now: () => Date.now(),
  random: () => Math.random(),
  isOnline: () => navigator.onLine,
  schedule: (callback, ms) => {
    const id = setTimeout(callback, ms)
    return () => clearTimeout(id)
  },
}

/** Tell `connection` about the page's life; returns the undo. */
export function followPage(connection: FeedConnection): () => void {
  const abort = new AbortController()
  const { signal } = abort
  addEventListener('online', () => connection.wake(), { signal })
  addEventListener('offline', () => connection.offline(), { signal })
  addEventListener('pageshow', () => connection.wake(), { signal })
  document.addEventListener(
    'visibilitychange',
    () => {
      if (document.visibilityState === 'visible') connection.wake()
    },
    { signal },
  )
  return () => abort.abort()
}
