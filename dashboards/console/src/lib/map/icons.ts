/** Draws the map's symbols to images at load: severity (shape, colour, letter) and devices (shape, colour). */
import type { Severity } from '../feed/types'
import { LETTER_Y, SHAPES } from '../format/shapes'
import { SEVERITIES } from '../queue/order'
import type { DeviceLook } from './congestion'
import { symbolIcon } from './features'
import type { Palette } from './palette'

export const PIXEL_RATIO = 2
const FONT = "'Be Vietnam Pro', sans-serif"

type Draw = (context: CanvasRenderingContext2D) => void

function render(width: number, height: number, draw: Draw): ImageData {
  const canvas = document.createElement('canvas')
  canvas.width = width * PIXEL_RATIO
  canvas.height = height * PIXEL_RATIO
  const context = canvas.getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('no 2D canvas')
  context.scale(PIXEL_RATIO, PIXEL_RATIO)
  context.lineJoin = 'round'
  context.lineCap = 'round'
  draw(context)
  return context.getImageData(0, 0, canvas.width, canvas.height)
}

/** What has passed keeps its hue and loses its loudness; it stays opaque, so that nothing shines through. */
function muted(colour: string, palette: Palette): string {
  return `color-mix(in srgb, ${colour} 52%, ${palette.ward})`
}

/** Filled while nobody has acknowledged it, outlined afterwards: the eye goes to what is still open. */
function severityIcon(severity: Severity, letter: string, unacked: boolean, colour: string, palette: Palette): ImageData {
  const path = new Path2D(SHAPES[severity])
  const size = 32
  return render(size, size, (context) => {
    context.translate(4, 4)
    context.strokeStyle = palette.halo
    context.lineWidth = 5
    context.stroke(path)
    context.fillStyle = unacked ? colour : palette.surface
    context.fill(path)
    context.strokeStyle = colour
    context.lineWidth = unacked ? 1 : 2.4
    context.stroke(path)
    context.fillStyle = unacked ? palette[`${severity}Ink`] : palette.ink
    context.font = `700 ${severity === 'high' ? 11.5 : 13}px ${FONT}`
    context.textAlign = 'center'
    context.fillText(letter, 12, LETTER_Y[severity])
  })
}

const BARS: Partial<Record<DeviceLook, number>> = { 'det-free': 1, 'det-slow': 2, 'det-heavy': 3, 'det-jam': 4 }

const ALL_BARS = 4

/** A chip with one to four bars, so that congestion is readable without colour. */
function detectorIcon(look: DeviceLook, palette: Palette): ImageData {
  const colour =
    { 'det-free': palette.free, 'det-slow': palette.slow, 'det-heavy': palette.heavy, 'det-jam': palette.jam }[
      look as string
    ] ?? palette.device
  return render(24, 18, (context) => {
    chip(context, palette, colour, look === 'det-stale')
    context.fillStyle = colour
    const bars = BARS[look] ?? 0
    if (!bars) return mark(context, colour, '?')
    for (let i = 0; i < ALL_BARS; i++) {
      // The bars that are missing show faintly, so that one of four is not taken for an empty sign.
      context.globalAlpha = i < bars ? 1 : 0.25
      context.fillRect(5.2 + i * 3.7, 13 - (3.6 + i * 1.8), 2.7, 3.6 + i * 1.8)
    }
    context.globalAlpha = 1
  })
}

function cameraIcon(look: DeviceLook, palette: Palette): ImageData {
  const alarm = look === 'cam-alarm'
  const off = look === 'cam-off'
  const colour = alarm ? palette.warn : off ? palette.error : palette.device
  return render(24, 18, (context) => {
    chip(context, palette, colour, look === 'cam-stale')
    if (look === 'cam-stale') return mark(context, colour, '?')
    if (alarm) return mark(context, colour, '!')
    context.strokeStyle = context.fillStyle = colour
    context.lineWidth = 1.6
    if (off) {
      line(context, 8.5, 5.5, 15.5, 12.5)
      line(context, 15.5, 5.5, 8.5, 12.5)
      return
    }
    context.fillRect(6, 6.3, 8, 5.4)
    context.beginPath()
    context.moveTo(14, 9)
    context.lineTo(18, 6.3)
    context.lineTo(18, 11.7)
    context.fill()
  })
}

function chip(context: CanvasRenderingContext2D, palette: Palette, colour: string, dashed: boolean): void {
  context.beginPath()
  context.roundRect(2, 2, 20, 14, 4)
  context.strokeStyle = palette.halo
  context.lineWidth = 3.5
  context.stroke()
  context.fillStyle = palette.deviceFill
  context.fill()
  context.strokeStyle = colour
  context.lineWidth = 1.4
  context.setLineDash(dashed ? [2.4, 2.6] : [])
  context.stroke()
  context.setLineDash([])
}

function mark(context: CanvasRenderingContext2D, colour: string, sign: string): void {
  context.fillStyle = colour
  context.font = `700 11px ${FONT}`
  context.textAlign = 'center'
  context.fillText(sign, 12, 13)
}

function line(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath()
  context.moveTo(x1, y1)
  context.lineTo(x2, y2)
  context.stroke()
}

export const DEVICE_LOOKS: DeviceLook[] = [
  'det-free', 'det-slow', 'det-heavy', 'det-jam', 'det-stale', 'cam-on', 'cam-alarm', 'cam-off', 'cam-stale',
]

export function deviceIcon(look: DeviceLook, palette: Palette): ImageData {
  return look.startsWith('det') ? detectorIcon(look, palette) : cameraIcon(look, palette)
}

/** Every image of the map by name. `letters` are the language's. */
export function mapImages(letters: Record<Severity, string>, palette: Palette): Map<string, ImageData> {
  const images = new Map<string, ImageData>()
  for (const severity of SEVERITIES) {
    for (const unacked of [true, false]) {
      for (const cleared of [true, false]) {
        const colour = cleared ? muted(palette[severity], palette) : palette[severity]
        images.set(symbolIcon(severity, unacked, cleared), severityIcon(severity, letters[severity], unacked, colour, palette))
      }
    }
  }
  for (const look of DEVICE_LOOKS) images.set(look, deviceIcon(look, palette))
  images.set('selected', selectionRing(palette))
  images.set('pulse', pulseRing(palette))
  images.set('badge', badge(palette))
  return images
}

/** The frame around the selected incident: four corners, so that it never hides the symbol's shape. */
function selectionRing(palette: Palette): ImageData {
  return render(48, 48, (context) => {
    for (const [colour, width] of [[palette.halo, 5.5], [palette.select, 2.6]] as const) {
      context.strokeStyle = colour
      context.lineWidth = width
      for (let turn = 0; turn < 4; turn++) {
        context.beginPath()
        context.moveTo(5, 15)
        context.lineTo(5, 5)
        context.lineTo(15, 5)
        context.stroke()
        context.translate(48, 0)
        context.rotate(Math.PI / 2)
      }
    }
  })
}

/** The disc under the number of a group. */
function badge(palette: Palette): ImageData {
  return render(20, 20, (context) => {
    context.beginPath()
    context.arc(10, 10, 8.6, 0, 2 * Math.PI)
    context.fillStyle = palette.ink
    context.fill()
    context.strokeStyle = palette.surface
    context.lineWidth = 1.6
    context.stroke()
  })
}

/** The ring that breathes, once a second at most, around a critical incident nobody has acknowledged. */
function pulseRing(palette: Palette): ImageData {
  return render(52, 52, (context) => {
    context.translate(4, 4)
    context.scale(44 / 24, 44 / 24)
    context.strokeStyle = palette.critical
    context.lineWidth = 1.8
    context.stroke(new Path2D(SHAPES.critical))
  })
}
